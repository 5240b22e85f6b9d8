"""Elementwise formulas for tensors of the size at which they are fast: small ones joined, large ones cut in pieces.

An operation on few elements takes the time of its call, about a microsecond; one on many waits for memory, and so does
the next one. An optimizer whose formula treats every element alike derives from `Elementwise`: its `update` is handed
one tensor for all that are small, and pieces of the large ones, of which value, gradient and state stay in the cache
from the first operation to the last. The formula is written once, and cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Optimizer

SMALL = 4096
"""Elements up to which a tensor is joined with others."""
LARGE = 262144
"""Elements of a piece, for each thread."""

JOINTS = 64
"""How many joined tensors are kept at most, where it differs from step to step which parameters have a gradient."""

Column = list[Tensor]
"""The values of several parameters, their gradients, or one entry of their state."""


class Elementwise(Optimizer):
    """An optimizer that changes every element by its own gradient and state, and by numbers that are the same for all.

    A subclass says in `kept` what its `update` keeps under these settings. What it keeps as numbers, such as the count
    of steps, is compared: only parameters of which they are equal are joined.

    cuts: whether large tensors are cut; it costs more than it saves where the formula goes over them twice or so.
    """

    elementwise: ClassVar = True
    cuts: ClassVar[bool] = True

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self._joints: dict[Any, _Joint] = {}
        super().__init__(params, defaults)

    def kept(self, group: dict[str, Any]) -> tuple[str, ...]:  # noqa: ARG002 - a subclass reads it
        """The entries of the state of a parameter that has seen a step."""
        return tuple(self.state_entries)

    def fused_state(self, group: dict[str, Any]) -> tuple[str, ...] | None:
        return self.kept(group)

    def fused_update(
        self, values: list[Tensor], grads: list[Tensor], held: dict[str, list[Tensor]], group: dict[str, Any]
    ) -> None:
        """`update` of tensors of another size; beyond the processor's memory, of all tensors as they are."""
        if not values[0].is_cpu:
            kept = zip(*held.values(), strict=True)
            self.update(values, grads, [dict(zip(held, entries, strict=True)) for entries in kept], group)
            return
        numbers = {name: column for name, column in held.items() if self.state_entries[name] == "number"}
        columns = [values, grads, *(column for name, column in held.items() if name not in numbers)]
        names = [name for name in held if name not in numbers]
        for places in equal_places(list(numbers.values())):
            counts = {name: column[places[0]] for name, column in numbers.items()}
            joint, rows = self._rows([[column[place] for place in places] for column in columns])
            states = [
                {**dict(zip(names, kept, strict=True)), **{name: one.clone() for name, one in counts.items()}}
                for _, _, *kept in rows
            ]
            self.update([row[0] for row in rows], [row[1] for row in rows], states, group)
            if joint is not None:
                joint.write_back()
            for name, column in numbers.items():  # every row has come to the same
                torch._foreach_copy_([column[place] for place in places], [states[0][name]] * len(places))

    def _rows(self, columns: list[Column]) -> tuple[_Joint | None, list[Sequence[Tensor]]]:
        """Value, gradient and state for each block; and what the small ones are joined in, if there are several."""
        sizes = [value.numel() for value in columns[0]]
        small = [place for place, size in enumerate(sizes) if size <= SMALL]
        joint, rows = None, list[Sequence[Tensor]]()
        if len(small) > 1:
            parts = [[column[place] for place in small] for column in columns]
            key = (columns[0][0].dtype, len(columns), *(value.shape for value in parts[0]))
            if key not in self._joints:
                if len(self._joints) == JOINTS:
                    self._joints.clear()
                self._joints[key] = _Joint(parts)
            joint = self._joints[key]
            rows.append(joint.read(parts))
        most = LARGE * torch.get_num_threads()
        for place, size in enumerate(sizes):
            row = [column[place] for column in columns]
            if self.cuts and size > most:
                rows += zip(*(tensor.view(-1).split(most) for tensor in row), strict=True)
            elif size > SMALL or joint is None:
                rows.append(row)
        return joint, rows


class _Joint:
    """One tensor for each column of several small ones, with views of their shapes; it is used again at each step."""

    def __init__(self, columns: list[Column]) -> None:
        size = sum(value.numel() for value in columns[0])
        with torch.inference_mode(False), torch.no_grad():
            self.tensors = [torch.empty(size, dtype=column[0].dtype) for column in columns]
            pairs = zip(self.tensors, columns, strict=True)
            self.views = [_views(joined, column) for joined, column in pairs]
        self.columns: list[Column] = []

    def read(self, columns: list[Column]) -> list[Tensor]:
        """The joined tensors of these numbers."""
        self.columns = columns
        for views, column in zip(self.views, columns, strict=True):
            torch._foreach_copy_(views, column)
        return self.tensors

    def write_back(self) -> None:
        """Bring values and state up to date; gradients are only read."""
        for place, column in enumerate(self.columns):
            if place != 1:
                torch._foreach_copy_(column, self.views[place])
        self.columns = []


def _views(joined: Tensor, column: Column) -> list[Tensor]:
    """The parts of a joined tensor in the shapes of a column, empty ones too, of which older torch loses the shape."""
    parts = joined.split([value.numel() for value in column])
    return [part.view(value.shape) for part, value in zip(parts, column, strict=True)]


def equal_places(columns: list[Column]) -> list[Sequence[int]]:
    """The places at which the numbers of each column are equal, in lists."""
    keys = list(zip(*([held.item() for held in column] for column in columns), strict=True))
    if keys.count(keys[0]) == len(keys):
        return [range(len(keys))]
    found: dict[tuple[float, ...], list[int]] = {}
    for place, key in enumerate(keys):
        found.setdefault(key, []).append(place)
    return list(found.values())
