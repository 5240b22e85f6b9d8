"""Normalisation of each row by its root mean square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Directions, SampleGradients, require_flags, require_range, require_saved
from mytorch.nn.normalization._affine import OfLastAxes
from mytorch.nn.normalization._tangents import Normalized, affine_backward_tangent, affine_tangent

Saved = tuple[Tensor, Tensor]


class RMSNorm(OfLastAxes):
    """Give the numbers of each row mean square 1, then a learned scale for each place in it.

    Forward:   n = x * r with r = 1 / sqrt(average(x * x) + eps) over the last axes;  y = weight * n
    Backward:  d_weight = sum(d_y * n) over the other axes;  d_n = weight * d_y
               d_x = r * (d_n - n * average(d_n * n)), over the last axes
    Shapes:    x, y: (..., *normalized_shape);  weight: normalized_shape
    Dtypes:    half precision is computed in float32; eps=None is the distance from 1 to the next number of the dtype
               that it is computed in
    Raises:    ShapeError for other last axes, or if d_y has not the shape of y;  DtypeError if x or d_y has another
               dtype than weight;  ArgumentError for sizes below 1, eps below 0, or a dtype that is not floating point,
               or for weights that have no room in memory
    Source:    Zhang and Sennrich 2019, "Root mean square layer normalization"

    Example:
        >>> RMSNorm(2)(torch.tensor([[1.0, 7.0]]))
        tensor([[0.2000, 1.4000]])
    """

    conformance: ClassVar[dict[str, Any]] = {"arguments": {"normalized_shape": 4}, "inputs": [(2, 3, 4)]}

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, elementwise_affine=elementwise_affine)
        self._set_shape(normalized_shape)
        if eps is not None:
            require_range(self, "eps", eps, 0)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._set_affine(self.normalized_shape, elementwise_affine, False, device, dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, Saved]:
        self._require_last_axes(x)
        wide = _wide(x)
        eps = torch.finfo(wide.dtype).eps if self.eps is None else self.eps
        r = (wide * wide).mean(self._axes(), keepdim=True).add_(eps).rsqrt_()
        n = wide * r
        weight = None if self.weight is None else self.weight.value
        return (n if weight is None else n.mul_(weight)).to(x.dtype), (x, r)

    def backward(self, d_y: Tensor, saved: Saved) -> Tensor | None:
        require_saved(self, saved, Tensor, Tensor)
        x, r = saved
        self._require_own(x)
        self._require_upstream(d_y, x.shape, x)
        n, d_n = _wide(x) * r, _wide(d_y)
        if self.weight is not None:
            weight = self.weight.value
            if self.weight.trainable:
                self.weight.accumulate((d_n * n).sum_to_size(weight.shape).to(weight.dtype))
            d_n = d_n * weight
        if not self.input_grad:
            return None
        along = (d_n * n).mean(self._axes(), keepdim=True)
        return torch.addcmul(d_n, n, along, value=-1).mul_(r).to(x.dtype)

    def tangent(self, t_x: Tensor | None, saved: Saved, along: Directions) -> tuple[Tensor, Normalized]:
        x, r = saved
        shape = (*(1,) * (x.dim() - len(self.normalized_shape)), *self.normalized_shape)
        moved = Normalized.of(x, t_x, None, r, lambda values: values.mean(self._axes(), keepdim=True), shape)
        return affine_tangent(self, moved, along), moved

    backward_tangent = affine_backward_tangent

    def sample_gradients(self, d_y: Tensor, saved: Saved, axis: int) -> dict[str, SampleGradients]:
        x, r = saved
        return self._each_sample(d_y, (_wide(x) * r).to(x.dtype), axis, *self._axes())

    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-len(self.normalized_shape), 0))


def _wide(x: Tensor) -> Tensor:
    """x in the dtype that is computed in: half precision would lose the sum of squares."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
