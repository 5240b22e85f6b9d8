"""Several axes made one."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Module, ShapeError, require_input, require_saved, require_upstream, require_whole


class Flatten(Module):
    """Join the axes from start_dim to end_dim, both included.

    Forward:   y = x with these axes made one
    Backward:  d_x = d_y in the shape of x
    Shapes:    x: (..., s_start, ..., s_end, ...);  y: (..., s_start * ... * s_end, ...)
    Raises:    ShapeError if x has no such axes, or d_y has not the shape of y;
               ArgumentError if an axis is no whole number

    Example:
        >>> Flatten()(torch.zeros(5, 2, 3)).shape
        torch.Size([5, 6])
    """

    conformance: ClassVar[dict[str, Any]] = {"tags": ("fixed_dimensions",)}

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        require_whole(self, "start_dim", start_dim, None)
        require_whole(self, "end_dim", end_dim, None)
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[torch.Size, torch.Size]]:
        require_input(self, x)
        axes = range(max(x.dim(), 1))
        if not (-len(axes) <= self.start_dim < len(axes) and -len(axes) <= self.end_dim < len(axes)) or (
            axes[self.start_dim] > axes[self.end_dim]
        ):
            raise ShapeError(
                f"Flatten: x must have axes {self.start_dim} to {self.end_dim}, in this order, "
                f"got {x.dim()} axes in {tuple(x.shape)}"
            )
        y = x.flatten(self.start_dim, self.end_dim)
        return y, (x.shape, y.shape)

    def backward(self, d_y: Tensor, saved: tuple[torch.Size, torch.Size]) -> Tensor | None:
        require_saved(self, saved, torch.Size, torch.Size)
        x_shape, y_shape = saved
        require_upstream(self, d_y, y_shape)
        return d_y.reshape(x_shape) if self.input_grad else None
