"""One entry of several outputs."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from mytorch.core import (
    ArgumentError,
    Directions,
    Module,
    ShapeError,
    kind_of,
    require_input,
    require_saved,
    require_upstream,
    require_whole,
)
from mytorch.nn._own import require_own
from mytorch.nn._tangents import backward_of_both

Shapes = Any
"""The shape of each tensor of a value, in tuples nested as the value is; None for one of whole numbers."""


class Take(Module):
    """Keep one entry of an output that is a tuple, such as that of a recurrent layer or of Parallel.

    Forward:   y = x[index]
    Backward:  d_x = a tuple with d_y as entry index, and None for those that were not used
    Shapes:    x: a tuple of tensors or of further tuples;  y: its entry
    Raises:    ArgumentError if x is no tuple of tensors or has no such entry, or index is no whole number;
               ShapeError if d_y has not the shape of y
    Source:    operator.getitem of Python's standard library, whose definition it follows

    Example:
        >>> Sequential(Parallel(Identity(), ReLU()), Take(1))(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"index": 1},
        "inputs": [(torch.linspace(-1, 2, 10).reshape(5, 2), torch.linspace(2, -1, 15).reshape(5, 3))],
    }

    def __init__(self, index: int) -> None:
        require_whole(self, "index", index, None)
        self.index = index

    def forward(self, x: tuple[Any, ...]) -> tuple[Any, tuple[int, tuple[Shapes, ...]]]:
        if not isinstance(x, tuple) or not -len(x) <= self.index < len(x):
            got = f"one of {len(x)}" if isinstance(x, tuple) else kind_of(x)
            raise ArgumentError(f"Take: x must be a tuple with an entry {self.index}, got {got}")
        return x[self.index], (self.index, tuple(self._shapes(entry) for entry in x))

    def backward(self, d_y: Any, saved: tuple[int, tuple[Shapes, ...]]) -> tuple[Any, ...] | None:
        require_saved(self, saved, int, tuple)
        index, entries = saved
        require_own(self, "index", self.index, index)
        taken = self.index % len(entries)
        self._require_like(d_y, entries[taken])
        if not self.input_grad:
            return None
        return tuple(d_y if number == taken else _nothing(shapes) for number, shapes in enumerate(entries))

    def tangent(
        self,
        t_x: tuple[Any, ...] | None,
        saved: tuple[int, tuple[Shapes, ...]],  # noqa: ARG002
        along: Directions,  # noqa: ARG002
    ) -> tuple[Any, None]:
        return None if t_x is None else t_x[self.index], None

    backward_tangent = backward_of_both

    def _shapes(self, value: Any) -> Shapes:
        if isinstance(value, tuple):
            return tuple(self._shapes(entry) for entry in value)
        require_input(self, value)
        return value.shape if value.is_floating_point() else None

    def _require_like(self, d_y: Any, shapes: Shapes) -> None:
        """Raise ShapeError unless d_y is nested as the entry is; an entry of a tuple may be None."""
        if isinstance(shapes, torch.Size):
            require_upstream(self, d_y, shapes)
        elif shapes is None:
            return
        elif not isinstance(d_y, tuple) or len(d_y) != len(shapes):
            raise ShapeError(
                f"Take: d_y must have the shape of the output, a tuple of {len(shapes)}, got {kind_of(d_y)}"
            )
        else:
            for entry, inner in zip(d_y, shapes, strict=True):
                if entry is not None:
                    self._require_like(entry, inner)


def _nothing(shapes: Shapes) -> Any:
    """None for each tensor, nested as the value is."""
    return tuple(map(_nothing, shapes)) if type(shapes) is tuple else None
