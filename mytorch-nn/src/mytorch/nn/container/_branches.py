"""What the containers have in common that hand one input to several branches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Self, cast

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    DtypeError,
    Module,
    StateError,
    kind_of,
    require_input,
    require_pair,
)
from mytorch.nn.container._sequence import ModuleSequence, require_module

Saved = tuple[list[Any], Any]
"""What each branch saved, and what the container needs beside it."""


class Branches(ModuleSequence):
    """A list of branches, all of which see the same inputs."""

    def __init__(self, *branches: Module) -> None:
        self.layers = [require_module(self, branch) for branch in branches]

    def _forward_each(self, x: Any, more: tuple[Any, ...], options: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        """The output of each branch, and what it saved."""
        self._require_branches(x)
        outputs, saved = [], []
        for branch in self.layers:
            pair = branch.forward(x, *more, **options)
            require_pair(branch, pair)
            outputs.append(pair[0])
            saved.append(pair[1])
        return outputs, saved

    def _call_each(self, x: Any, more: tuple[Any, ...], options: dict[str, Any]) -> list[Any]:
        self._require_branches(x)
        return [branch(x, *more, **options) for branch in self.layers]

    def _backward_each(self, d_outputs: Sequence[Any], saved: list[Any]) -> Any:
        """The sum of what the branches give for the inputs; one whose output was not used is left out."""
        gradients = []
        for branch, d_output in zip(reversed(self.layers), reversed(d_outputs), strict=True):
            kept = saved.pop()
            if not is_unused(d_output):
                gradients.append(branch.backward(d_output, kept))
        return reduce(added, gradients) if self.input_grad else None

    def _tangent_each(self, t_x: Any, saved: list[Any], along: Directions) -> tuple[list[Any], list[Any]]:
        """How the output of each branch changes, and what its `backward_tangent` needs."""
        moved = [branch.tangent(t_x, kept, along) for branch, kept in zip(self.layers, saved, strict=True)]
        return [t_output for t_output, _ in moved], [t_kept for _, t_kept in moved]

    def _backward_tangent_each(
        self,
        d_outputs: Sequence[Any],
        t_d_outputs: Sequence[Any],
        saved: list[Any],
        t_saved: list[Any],
        along: Directions,
    ) -> tuple[Any, Any]:
        """The sum of what the branches give for the inputs, and its change."""
        found = [
            branch.backward_tangent(d, t_d, kept, t_kept, along)
            for branch, d, t_d, kept, t_kept in zip(self.layers, d_outputs, t_d_outputs, saved, t_saved, strict=True)
            if not is_unused(d)
        ]
        return reduce(added, found) if self.input_grad else (None, None)

    def _require_branches(self, x: Any) -> None:
        if not self.layers:
            raise StateError(f"{type(self).__name__}: branches must be at least one before a forward, got none")
        if not isinstance(x, tuple):
            require_input(self, x)

    def _require_own(self, saved: Any, kind: type) -> None:
        """Raise ArgumentError for what no forward of this class gave; StateError for what was answered already."""
        name = type(self).__name__
        pair = isinstance(saved, tuple) and len(saved) == 2
        if not pair or not isinstance(saved[0], list) or type(saved[1]) is not kind:
            raise ArgumentError(
                f"{name}: saved must be a pair whose first entry is a list, as its own forward returned, got "
                f"{kind_of(saved)}; give each backward the saved value of its own forward"
            )
        if len(saved[0]) != len(self.layers):
            raise StateError(
                f"{name}: saved must hold one value for each of {len(self.layers)} branches, got {len(saved[0])}; "
                "a saved value is good for one backward: call forward again"
            )

    def _require_tensors(self, outputs: Sequence[Any]) -> list[Tensor]:
        """Raise ArgumentError unless each branch gives a tensor; DtypeError unless all have one dtype."""
        for number, output in enumerate(outputs):
            if not isinstance(output, Tensor):
                raise ArgumentError(
                    f"{type(self).__name__}: output of branch {number} must be a tensor, got {kind_of(output)}; "
                    "append Take(0) to the branch to keep the first entry of a tuple"
                )
            if output.dtype is not outputs[0].dtype:
                raise DtypeError(
                    f"{type(self).__name__}: output of branch {number} must have the dtype of that of branch 0, "
                    f"{outputs[0].dtype}, got {output.dtype}"
                )
        return cast(list[Tensor], list(outputs))

    def first_children(self) -> list[Module]:
        return list(self.layers)

    def arguments(self) -> dict[str, Any]:
        return {"branches": list(self.layers)}

    def _of(self, layers: list[Module]) -> Self:
        return type(self)(*layers)


def added(one: Any, other: Any) -> Any:
    """The sum of two gradients, or tangents, that are nested alike; None, of what has none, counts as zeros."""
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, tuple):
        return tuple(added(*entries) for entries in zip(one, other, strict=True))
    return one + other


def joined(halves: Sequence[Tensor | None], dim: int) -> Tensor | None:
    """Two halves of a tensor as one; None, where one has nothing, counts as zeros, and None of both is none."""
    known = [half for half in halves if half is not None]
    if not known:
        return None
    return torch.cat([torch.zeros_like(known[0]) if half is None else half for half in halves], dim)


def is_unused(d_output: Any) -> bool:
    """Whether an upstream gradient says that nothing of an output was used: None, and nothing else, however nested."""
    return d_output is None or (isinstance(d_output, tuple) and all(map(is_unused, d_output)))
