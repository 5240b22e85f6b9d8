"""The layer that does nothing."""

import torch
from torch import Tensor

from mytorch.core import Module, require_input, require_saved, require_upstream
from mytorch.nn._tangents import elementwise


class Identity(Module):
    """Pass everything through: a placeholder.

    Forward:   y = x
    Backward:  d_x = d_y
    Shapes:    x, y: any, the same
    Raises:    ShapeError if d_y has not the shape of y
    Source:    torch.nn.Identity, whose definition it follows

    Example:
        >>> Identity()(torch.tensor([1.0, 2.0]))
        tensor([1., 2.])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        require_input(self, x)
        return x, x.shape

    def backward(self, d_y: Tensor, shape: torch.Size) -> Tensor | None:
        require_saved(self, shape, torch.Size)
        require_upstream(self, d_y, shape)
        return d_y if self.input_grad else None

    tangent, backward_tangent = elementwise()
