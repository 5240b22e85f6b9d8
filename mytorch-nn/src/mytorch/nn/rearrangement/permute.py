"""The axes in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, ShapeError, require_input, require_saved, require_upstream
from mytorch.nn._own import require_own
from mytorch.nn._tangents import LINEAR
from mytorch.plugins import shown


class Permute(Module):
    """Put the axes into another order, such as channels last.

    Forward:   y = x with axis dims[i] of x as axis i
    Backward:  d_x = d_y with axis i of d_y as axis dims[i]
    Shapes:    x: as many axes as dims has, the batch's included;  y: (x.shape[dims[0]], x.shape[dims[1]], ...)
    Raises:    ShapeError for another number of axes, or if d_y has not the shape of y;
               ArgumentError unless dims names each axis once, from the front or, below 0, from the end
    Source:    torch.permute, whose definition it follows

    Example:
        >>> Permute((0, 2, 3, 1))(torch.zeros(5, 3, 8, 9)).shape
        torch.Size([5, 8, 9, 3])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"dims": (0, 2, 1)},
        "inputs": [(2, 3, 4)],
        "tags": ("fixed_dimensions",),
    }

    def __init__(self, dims: Sequence[int]) -> None:
        whole = isinstance(dims, Sequence) and all(type(axis) is int for axis in dims)
        if not whole or sorted(axis + len(dims) * (axis < 0) for axis in dims) != list(range(len(dims))):
            raise ArgumentError(f"Permute: dims must name each axis once, such as (0, 2, 1), got {shown(dims)}")
        self.dims = tuple(axis % len(dims) for axis in dims)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[torch.Size, tuple[int, ...]]]:
        require_input(self, x)
        if x.dim() != len(self.dims):
            raise ShapeError(f"Permute: x must have {len(self.dims)} axes, got {x.dim()} in {tuple(x.shape)}")
        y = x.permute(self.dims)
        return y, (y.shape, self.dims)

    def backward(self, d_y: Tensor, saved: tuple[torch.Size, tuple[int, ...]]) -> Tensor | None:
        require_saved(self, saved, torch.Size, tuple)
        shape, dims = saved
        require_own(self, "dims", self.dims, dims)
        require_upstream(self, d_y, shape)
        back = [dims.index(axis) for axis in range(len(dims))]
        return d_y.permute(back) if self.input_grad else None

    tangent, backward_tangent = LINEAR
