"""The average of each window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, require_flag, require_saved, require_upstream
from mytorch.nn._tangents import LINEAR
from mytorch.nn.pooling._window import Pooling, as_line, as_plane, of_plane, require_planes
from mytorch.plugins import shown

aten, direct = torch.ops.aten, torch._C._nn  # through the second, which has no backward passes, a call takes half


def average(x: Tensor, dimensions: int, kernel: tuple[Any, ...]) -> Tensor:
    """The averages of windows of `x`, which is not empty, by a kernel whose arguments `kernel` holds."""
    pool = direct.avg_pool3d if dimensions == 3 else direct.avg_pool2d
    y = as_line(pool(as_plane(_computable(x, dimensions), dimensions), *kernel), dimensions)
    return y if y.dtype is x.dtype else y.to(x.dtype)


def average_backward(d_y: Tensor, shape: torch.Size, dimensions: int, kernel: tuple[Any, ...]) -> Tensor:
    """The gradient of what `average` was given, of `shape`."""
    if 0 in shape:
        return d_y.new_zeros(shape)
    back = aten.avg_pool3d_backward if dimensions == 3 else aten.avg_pool2d_backward
    d_plane = _computable(d_y, dimensions)
    x = d_plane.as_strided(shape, (0,) * len(shape))  # the kernels ask it for its shape and dtype only
    d_x = as_line(back(as_plane(d_plane, dimensions), as_plane(x, dimensions), *kernel), dimensions)
    return d_x if d_x.dtype is d_y.dtype else d_x.to(d_y.dtype)


def _computable(x: Tensor, dimensions: int) -> Tensor:
    """x in a dtype that there is a kernel for: on the CPU, none averages half precision in three dimensions."""
    half = dimensions == 3 and x.dtype in (torch.bfloat16, torch.float16) and x.device.type == "cpu"
    return x.float() if half else x


class _AvgPool(Pooling):
    """Take the average of each window.

    Forward:   y[t] = (sum over k of x[stride * t + k - padding]) / count; padding counts as zeros
               count: the values of the window, with count_include_pad the padding too, or divisor_override
    Backward:  d_x[s] = sum over the windows t that hold x[s] of d_y[t] / count
    Kernel:    aten.avg_pool2d_backward and its 3d form; one dimension as a plane of height 1
    Shapes:    x: (channels, ...) with one, two or three sizes by the class, with or without a batch in front;
               y: each size (size + 2 * padding - kernel_size) // stride + 1, rounded up with ceil_mode
    Raises:    ShapeError for other axes, or a window larger than the padded x; DtypeError for integers;
               ArgumentError for arguments out of range, or padding above half of the window
    Source:    LeCun et al. 1990, "Handwritten digit recognition with a back-propagation network"

    Example:
        >>> AvgPool1d(2)(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
        tensor([[2., 1.]])
    """

    divisor_override: int | None = None

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self._set_window(kernel_size, stride, padding)
        require_flag(self, "ceil_mode", ceil_mode)
        require_flag(self, "count_include_pad", count_include_pad)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        require_planes(self, x, self.dimensions)
        shape = self._pooled_shape(x.shape, self.ceil_mode)
        self._require_averaged(x)
        if x.numel() == 0:
            return x.new_empty(shape), x.shape
        return average(x, self.dimensions, self._kernel()), x.shape

    def backward(self, d_y: Tensor, shape: torch.Size) -> Tensor | None:
        require_saved(self, shape, torch.Size)
        require_upstream(self, d_y, self._pooled_shape(shape, self.ceil_mode))
        if not self.input_grad:
            return None
        return average_backward(d_y, shape, self.dimensions, self._kernel())

    tangent, backward_tangent = LINEAR

    def _kernel(self) -> tuple[Any, ...]:
        return (
            of_plane(self.kernel_size, 1),
            of_plane(self.stride, 1),
            of_plane(self.padding, 0),
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool1d(_AvgPool):
    dimensions = 1


class _AvgPoolWithDivisor(_AvgPool):
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        if divisor_override is not None and (type(divisor_override) is not int or divisor_override == 0):
            raise ArgumentError(
                f"{self._name}: divisor_override must be a whole number other than 0, got {shown(divisor_override)}"
            )
        self.divisor_override = divisor_override


class AvgPool2d(_AvgPoolWithDivisor):
    dimensions = 2


class AvgPool3d(_AvgPoolWithDivisor):
    dimensions = 3
