"""The layer that does nothing."""

from torch import Tensor

from mytorch.core import Module, require_no_grad


class Identity(Module):
    """Pass everything through: a placeholder.

    Forward:   y = x
    Backward:  d_x = d_y
    Shapes:    x, y: any
    """

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        require_no_grad(self, x)
        return x, None

    def backward(self, d_y: Tensor, saved: None) -> Tensor | None:  # noqa: ARG002
        return d_y if self.input_grad else None
