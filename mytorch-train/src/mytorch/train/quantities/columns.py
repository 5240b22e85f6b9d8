"""The gradients of samples from several backwards of one forward, stated together: what is saved is read once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mytorch.core import Module, SampleGradients
from mytorch.train.quantities.stated import stated_by

NUMBERS_KEPT = 2**21
"""How many numbers of the gradients at its output are kept of a layer before it states what follows from them."""
NUMBERS_OF_VECTORS = 2**16
"""The same where a sample has one vector there: what such a layer saved takes little time to read again."""


class Columns:
    """Keeps the gradients at the outputs of layers whose `Module.states_columns` is set, until they state all at once.

    rows: how many samples the first forward has; later ones may have several times as many, which repeat them
    show: is given the name of a parameter, and the gradients of several columns for each sample
    """

    def __init__(self, rows: int, show: Callable[[str, SampleGradients], None]) -> None:
        self.rows, self.show = rows, show
        self._saved: dict[Module, Any] = {}
        self._layers: dict[Module, _Kept] = {}

    def saved(self, module: Module, saved: Any) -> None:
        """What a forward of a layer saved, of which the first is used."""
        if module.states_columns:
            self._saved.setdefault(module, saved)

    def add(self, path: str, module: Module, names: dict[str, str], axis: int, d_output: Tensor) -> None:
        """Keep the gradient of one or several columns, one after the other along the axis of the samples.

        names: those of the layer's trained parameters in the net, by the layer's own.
        """
        kept = self._layers.setdefault(module, _Kept(path, names, axis, []))
        kept.gradients.append(d_output)
        most = NUMBERS_OF_VECTORS if d_output.dim() == 2 else NUMBERS_KEPT
        if sum(d.numel() for d in kept.gradients) >= most:
            self._show(module, kept)

    def end(self) -> None:
        """Show what follows from the gradients that are left."""
        for module, kept in self._layers.items():
            if kept.gradients:
                self._show(module, kept)

    def _show(self, module: Module, kept: _Kept) -> None:
        axis = kept.axis
        by_sample = [d.unflatten(axis, (-1, self.rows)).transpose(axis, axis + 1) for d in kept.gradients]
        kept.gradients.clear()
        together = torch.cat(by_sample, axis + 1)
        del by_sample  # which are as many numbers
        columns = together.shape[axis + 1]
        d_output = together.flatten(axis, axis + 1)
        stated = stated_by(kept.path, module, d_output, self._saved[module], axis, self.rows, columns)
        for own, name in kept.names.items():
            self.show(name, stated[own])


class _Kept(NamedTuple):
    path: str
    names: dict[str, str]
    axis: int
    gradients: list[Tensor]
