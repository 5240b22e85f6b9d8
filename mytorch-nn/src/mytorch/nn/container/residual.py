"""A detour around a layer."""

from typing import Any

import torch
from torch import Tensor

from mytorch.core import Directions, Module, ShapeError, require_input, require_pair, require_saved, require_upstream
from mytorch.nn.container._sequence import require_module


class Residual(Module):
    """Add to a value what a layer makes of it.

    Forward:   y = x + inner(x)
    Backward:  d_x = d_y + (the d_x of inner)
    Shapes:    x, y: any that inner keeps
    Raises:    ShapeError if inner changes the shape, or d_y has not the shape of y
    Source:    He et al. 2015, "Deep residual learning for image recognition"

    Example:
        >>> Residual(ReLU())(torch.tensor([-1.0, 2.0]))
        tensor([-1.,  4.])
    """

    def __init__(self, inner: Module) -> None:
        self.inner = require_module(self, inner)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[torch.Size, Any]]:
        require_input(self, x)
        pair = self.inner.forward(x)
        require_pair(self.inner, pair)
        change, saved = pair
        return self._sum(x, change), (x.shape, saved)

    def backward(self, d_y: Tensor, saved: tuple[torch.Size, Any]) -> Tensor | None:
        require_saved(self, saved, torch.Size, object)
        shape, saved_by_inner = saved
        require_upstream(self, d_y, shape)
        d_x = self.inner.backward(d_y, saved_by_inner)
        return d_y + d_x if self.input_grad else None

    def tangent(
        self, t_x: Tensor | None, saved: tuple[torch.Size, Any], along: Directions
    ) -> tuple[Tensor | None, Any]:
        t_change, t_saved = self.inner.tangent(t_x, saved[1], along)
        return (t_change if t_x is None else t_x if t_change is None else t_x + t_change), t_saved

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, saved: tuple[torch.Size, Any], t_saved: Any, along: Directions
    ) -> tuple[Tensor | None, Tensor | None]:
        d_x, t_d_x = self.inner.backward_tangent(d_y, t_d_y, saved[1], t_saved, along)
        return (d_y + d_x, t_d_y + t_d_x) if self.input_grad else (None, None)

    def __call__(self, x: Tensor) -> Tensor:
        require_input(self, x)
        return self._sum(x, self.inner(x))

    def first_child(self) -> Module:
        return self.inner

    def _sum(self, x: Tensor, change: Tensor) -> Tensor:
        if change.shape != x.shape:
            raise ShapeError(
                f"Residual: inner must keep the shape of its input, {tuple(x.shape)}, got {tuple(change.shape)}"
            )
        return x + change
