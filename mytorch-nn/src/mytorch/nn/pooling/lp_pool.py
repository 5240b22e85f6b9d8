"""The p-norm of each window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    require_flag,
    require_range,
    require_same_device,
    require_saved,
    require_upstream,
)
from mytorch.nn._own import require_own
from mytorch.nn._tangents import backward_of_both
from mytorch.nn.pooling._window import Pooling, of_plane, require_planes
from mytorch.nn.pooling.avg_pool import average, average_backward
from mytorch.nn.pooling.max_pool import largest, largest_backward

Saved = tuple[Tensor, Tensor, tuple[Any, ...]]


class _LPPool(Pooling):
    """Take the p-norm of each window: its sum for p = 1, its largest |x| for p = inf.

    Forward:   y[t] = (r * sum over k of x[stride * t + k]^p)^(1 / p) with p = norm_type; r is 1, and for a window that
               ceil_mode lets reach beyond x its size divided by the count of its places within x;
               for p = inf the largest |x|, for p = -inf the smallest
    Backward:  d_x[s] = sum of d_y[t] * r * x[s]^(p - 1) * y[t]^(1 - p) over the windows t that hold x[s], 0 from those
               whose sum is 0; for p = inf and -inf the sum of d_y[t] * sign(x[s]) over the windows t from which |x[s]|
               was taken, the first one of equals
    Kernel:    aten.avg_pool2d of the powers, whose backward is aten.avg_pool2d_backward, and the 3d forms; one
               dimension as a plane of height 1
    Shapes:    x: (channels, ...) with one, two or three sizes by the class, with or without a batch in front;
               y: each size (size - kernel_size) // stride + 1, rounded up with ceil_mode
    Raises:    ShapeError for other axes, or a window larger than x; DtypeError for integers;
               ArgumentError for a norm_type that is 0 or no number, or other arguments out of range
    Source:    Sermanet, Chintala and LeCun 2012, "Convolutional neural networks applied to house numbers digit
               classification"

    Example:
        >>> LPPool1d(2, 2)(torch.tensor([[3.0, 4.0, 5.0, -12.0]]))
        tensor([[ 5., 13.]])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"norm_type": 2.0, "kernel_size": 2},
        "tags": ("fixed_dimensions",),
    }

    def __init__(
        self,
        norm_type: float,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        ceil_mode: bool = False,
    ) -> None:
        require_range(self, "norm_type", norm_type)
        if norm_type == 0:
            raise ArgumentError(f"{self._name}: norm_type must not be 0, since 1 / p is the norm's power, got 0")
        self._set_window(kernel_size, stride)
        require_flag(self, "ceil_mode", ceil_mode)
        self.norm_type, self.ceil_mode = float(norm_type), ceil_mode

    def forward(self, x: Tensor) -> tuple[Tensor, Saved]:
        require_planes(self, x, self.dimensions)
        shape, p = self._pooled_shape(x.shape, self.ceil_mode), self.norm_type
        if x.numel() == 0:
            y = x.new_empty(shape)
            return y, (x, y, self._settings())
        if math.isinf(p):
            y, indices = largest(x.abs() if p > 0 else x.abs().neg_(), self.dimensions, self._maximum())
            return y if p > 0 else y.neg_(), (x, indices, self._settings())
        self._require_averaged(x)
        y = average(x.pow(p), self.dimensions, self._mean()).mul_(math.prod(self.kernel_size)).pow_(1 / p)
        return y, (x, y, self._settings())

    def backward(self, d_y: Tensor, saved: Saved) -> Tensor | None:
        require_saved(self, saved, Tensor, Tensor, tuple)
        x, found, settings = saved
        require_own(self, "norm_type, kernel_size, stride and ceil_mode", self._settings(), settings)
        require_upstream(self, d_y, found.shape)
        require_same_device(self, d_y, x, "d_y", "output")
        p = self.norm_type
        if not self.input_grad:
            return None
        if math.isinf(p):
            return largest_backward(d_y, found, x.shape, self.dimensions, self._maximum()) * x.sign()
        d_sum = (d_y * found.pow(1 - p)).where(found != 0, 0) * math.prod(self.kernel_size)
        return average_backward(d_sum, x.shape, self.dimensions, self._mean()) * x.pow(p - 1)

    def tangent(
        self,
        t_x: Tensor | None,
        saved: Saved,
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor | None, tuple[Tensor, Tensor] | None]:
        x, found, _ = saved
        p, axes = self.norm_type, self.dimensions
        if t_x is None or x.numel() == 0:
            return None if t_x is None else torch.zeros_like(found), None
        if math.isinf(p):
            return (t_x * x.sign()).flatten(-axes).gather(-1, found.flatten(-axes)).reshape(found.shape), None
        t_sum = average(x.pow(p - 1) * t_x, axes, self._mean()) * math.prod(self.kernel_size)
        t_y = (found.pow(1 - p) * t_sum).where(found != 0, 0)
        return t_y, (t_x, t_y)

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, saved: Saved, t_saved: tuple[Tensor, Tensor] | None, along: Directions
    ) -> tuple[Tensor | None, Tensor | None]:
        """With d_sum = d_y * y^(1 - p), d_x = r * (the sum of d_sum) * x^(p - 1); both factors change."""
        d_x, t_d_x = backward_of_both(self, d_y, t_d_y, saved, t_saved, along)
        if t_saved is None or t_d_x is None:
            return d_x, t_d_x
        (x, y, _), (t_x, t_y), p = saved, t_saved, self.norm_type
        d_sum = (d_y * y.pow(1 - p)).where(y != 0, 0)
        t_d_sum = (d_sum * (1 - p) * (t_y / y)).where(y != 0, 0)
        around, t_around = (
            average_backward(each * math.prod(self.kernel_size), x.shape, self.dimensions, self._mean())
            for each in (d_sum, t_d_sum)
        )
        bend = (p - 1) * x.pow(p - 2)
        bend = bend if p >= 2 else bend.where(x != 0, 0)  # where the power is steep, 0 counts as a corner
        return d_x, t_d_x + t_around * x.pow(p - 1) + around * bend * t_x

    def _settings(self) -> tuple[Any, ...]:
        return self.norm_type, self.kernel_size, self.stride, self.ceil_mode

    def _mean(self) -> tuple[Any, ...]:
        """What the kernel of averages is told."""
        return (*self._windows(), of_plane(self.padding, 0), self.ceil_mode, True, None)

    def _maximum(self) -> tuple[Any, ...]:
        """What the kernel of largest values is told."""
        return (*self._windows(), of_plane(self.padding, 0), of_plane(self.dilation, 1), self.ceil_mode)

    def _windows(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return of_plane(self.kernel_size, 1), of_plane(self.stride, 1)


class LPPool1d(_LPPool):
    dimensions = 1


class LPPool2d(_LPPool):
    dimensions = 2


class LPPool3d(_LPPool):
    dimensions = 3
