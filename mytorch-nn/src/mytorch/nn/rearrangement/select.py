"""One place along an axis."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Module, ShapeError, require_input, require_saved, require_upstream, require_whole
from mytorch.nn._own import require_own
from mytorch.nn._tangents import LINEAR

Saved = tuple[torch.Size, tuple[int, int]]


class Select(Module):
    """Keep one place along an axis, such as the last step of a sequence.

    Forward:   y = x at place index of axis dim, which goes away
    Backward:  d_x = d_y at this place, 0 elsewhere
    Kernel:    aten.select_backward
    Shapes:    x: (..., s, ...), the batch's axis included;  y: without the axis dim
    Raises:    ShapeError if x has no such axis or no such place, or d_y has not the shape of y;
               ArgumentError if dim or index is no whole number; below 0 they count from the end
    Source:    torch.select, whose definition it follows

    Example:
        >>> Select(dim=1, index=-1)(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([2., 4.])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"dim": 1, "index": -2},
        "inputs": [(2, 3, 4)],
        "tags": ("fixed_dimensions",),
    }

    def __init__(self, dim: int, index: int) -> None:
        require_whole(self, "dim", dim, None)
        require_whole(self, "index", index, None)
        self.dim, self.index = dim, index

    def forward(self, x: Tensor) -> tuple[Tensor, Saved]:
        require_input(self, x)
        if not -x.dim() <= self.dim < x.dim() or not -x.shape[self.dim] <= self.index < x.shape[self.dim]:
            raise ShapeError(f"Select: x must have an index {self.index} along axis {self.dim}, got {tuple(x.shape)}")
        return x.select(self.dim, self.index), (x.shape, (self.dim, self.index))

    def backward(self, d_y: Tensor, saved: Saved) -> Tensor | None:
        require_saved(self, saved, torch.Size, tuple)
        shape, place = saved
        require_own(self, "dim and index", (self.dim, self.index), place)
        axis = self.dim % len(shape)
        require_upstream(self, d_y, (*shape[:axis], *shape[axis + 1 :]))
        if not self.input_grad:
            return None
        d_x: Tensor = torch.ops.aten.select_backward(d_y, shape, self.dim, self.index)
        return d_x

    tangent, backward_tangent = LINEAR
