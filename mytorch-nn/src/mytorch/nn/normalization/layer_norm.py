"""Normalisation of each row by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Directions, SampleGradients, require_flags, require_range, require_saved
from mytorch.nn.normalization._affine import OfLastAxes
from mytorch.nn.normalization._tangents import Normalized, affine_backward_tangent, affine_tangent

aten = torch.ops.aten

Saved = tuple[Tensor, Tensor, Tensor]


class LayerNorm(OfLastAxes):
    """Give the numbers of each row mean 0 and variance 1, then a learned scale and shift for each place in it.

    Forward:   n = (x - mean) * r with r = 1 / sqrt(variance + eps), both over the last axes, the variance divided by
               the count;  y = weight * n + bias
    Backward:  d_weight = sum(d_y * n) and d_bias = sum(d_y), over the other axes;  d_n = weight * d_y
               d_x = r * (d_n - average(d_n) - n * average(d_n * n)), over the last axes
    Kernel:    aten.native_layer_norm_backward
    Shapes:    x, y: (..., *normalized_shape);  weight, bias: normalized_shape
    Raises:    ShapeError for other last axes, or if d_y has not the shape of y;  DtypeError if x or d_y has another
               dtype than weight;  ArgumentError for sizes below 1, eps below 0, or a dtype that is not floating point,
               or for weights that have no room in memory
    Source:    Ba, Kiros and Hinton 2016, "Layer normalization"

    Example:
        >>> LayerNorm(2)(torch.tensor([[1.0, 3.0]]))
        tensor([[-1.0000,  1.0000]])
    """

    conformance: ClassVar[dict[str, Any]] = {"arguments": {"normalized_shape": 4}, "inputs": [(2, 3, 4)]}

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, elementwise_affine=elementwise_affine, bias=bias)
        self._set_shape(normalized_shape)
        require_range(self, "eps", eps, 0)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._set_affine(self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, Saved]:
        self._require_last_axes(x)
        y, mean, r = torch.native_layer_norm(x, self.normalized_shape, *self._scale_and_shift(), self.eps)
        return y, (x, mean, r)

    def backward(self, d_y: Tensor, saved: Saved) -> Tensor | None:
        require_saved(self, saved, Tensor, Tensor, Tensor)
        x, mean, r = saved
        self._require_own(x)
        self._require_upstream(d_y, x.shape, x)
        if x.numel() == 0:
            return self._backward_of_nothing(d_y)
        weight, bias = self._scale_and_shift()
        d_x, d_weight, d_bias = aten.native_layer_norm_backward(
            d_y, x, self.normalized_shape, mean, r, weight, bias, self._wanted()
        )
        self._accumulate(d_weight, d_bias)
        return d_x if self.input_grad else None

    def tangent(self, t_x: Tensor | None, saved: Saved, along: Directions) -> tuple[Tensor, Normalized]:
        x, mean, r = saved
        axes = tuple(range(-len(self.normalized_shape), 0))
        shape = (*(1,) * (x.dim() - len(axes)), *self.normalized_shape)
        moved = Normalized.of(x, t_x, mean, r, lambda values: values.mean(axes, keepdim=True), shape)
        return affine_tangent(self, moved, along), moved

    backward_tangent = affine_backward_tangent

    def sample_gradients(self, d_y: Tensor, saved: Saved, axis: int) -> dict[str, SampleGradients]:
        x, mean, r = saved
        return self._each_sample(d_y, (x - mean) * r, axis, *range(-len(self.normalized_shape), 0))
