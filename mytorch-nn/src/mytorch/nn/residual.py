"""A detour around a layer."""

from typing import Any

from torch import Tensor

from mytorch.core import Module, ShapeError, require_no_grad
from mytorch.nn.sequence import require_module


class Residual(Module):
    """Add to a value what a layer makes of it.

    Forward:   y = x + inner(x)
    Backward:  d_x = d_y + (the d_x of inner)
    Shapes:    x, y: any that inner keeps
    Raises:    ShapeError if inner changes the shape
    Source:    He et al. 2015, "Deep residual learning for image recognition"
    """

    def __init__(self, inner: Module) -> None:
        self.inner = require_module(self, inner)

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        require_no_grad(self, x)
        change, saved = self.inner.forward(x)
        return self._sum(x, change), saved

    def backward(self, d_y: Tensor, saved: Any) -> Tensor | None:
        d_x = self.inner.backward(d_y, saved)
        return d_y + d_x if self.input_grad else None

    def __call__(self, x: Tensor) -> Tensor:
        require_no_grad(self, x)
        return self._sum(x, self.inner(x))

    def first_child(self) -> Module:
        return self.inner

    def _sum(self, x: Tensor, change: Tensor) -> Tensor:
        if change.shape != x.shape:
            raise ShapeError(
                f"Residual: inner must keep the shape of its input, {tuple(x.shape)}, got {tuple(change.shape)}"
            )
        return x + change
