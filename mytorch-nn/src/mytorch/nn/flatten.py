"""Several axes made one."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Module, ShapeError, require_no_grad


class Flatten(Module):
    """Join the axes from start_dim to end_dim, both included.

    Forward:   y = x with these axes made one
    Backward:  d_x = d_y in the shape of x
    Shapes:    x: (..., s_start, ..., s_end, ...);  y: (..., s_start * ... * s_end, ...)
    Raises:    ShapeError if x has no such axes
    """

    conformance: ClassVar[dict[str, Any]] = {"tags": ("fixed_dimensions",)}

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        require_no_grad(self, x)
        axes = range(max(x.dim(), 1))
        if not (-len(axes) <= self.start_dim < len(axes) and -len(axes) <= self.end_dim < len(axes)) or (
            axes[self.start_dim] > axes[self.end_dim]
        ):
            raise ShapeError(
                f"Flatten: x must have axes {self.start_dim} to {self.end_dim}, in this order, "
                f"got {x.dim()} axes in {tuple(x.shape)}"
            )
        return x.flatten(self.start_dim, self.end_dim), x.shape

    def backward(self, d_y: Tensor, shape: torch.Size) -> Tensor | None:
        return d_y.reshape(shape) if self.input_grad else None
