"""The largest value of each window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import require_flag, require_saved
from mytorch.nn._own import require_own
from mytorch.nn.pooling._window import TAKEN, Pooling, as_line, as_plane, of_plane, require_planes, upstream_of_values

aten, direct = torch.ops.aten, torch._C._nn  # through the second, which has no backward passes, a call takes half
Output = Tensor | tuple[Tensor, Tensor]

MANY, MANY_CHANNELS = 2**15, 16
"""Numbers of x, and channels, from which on a copy of it with channels side by side is worth it."""


def largest(x: Tensor, dimensions: int, kernel: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
    """The largest values of windows of `x`, which is not empty, and their places, by a kernel with these arguments."""
    if dimensions == 3:
        y, indices = direct.max_pool3d_with_indices(x, *kernel)
        return y, indices
    plane = as_plane(x, dimensions)
    side_by_side = _is_worth_a_copy(plane, math.prod(kernel[1]))
    given = plane.contiguous(memory_format=torch.channels_last) if side_by_side else plane
    y, indices = direct.max_pool2d_with_indices(given, *kernel)
    if side_by_side:
        del given  # before there are more copies, each of which takes the place of what it is made of
        y = y.contiguous()
        indices = indices.contiguous()
    return as_line(y, dimensions), as_line(indices, dimensions)


def _is_worth_a_copy(x: Tensor, step: int) -> bool:
    """Whether the kernel is faster with channels side by side, of which it compares several at a time on a CPU.

    It is for many channels, the time of the copies included. With a step of 1, the copies of as many values and places
    as x has would take more memory than the backward does.
    step: from window to window, the product over the axes
    """
    many = x.dim() == 4 and x.shape[1] >= MANY_CHANNELS and x.numel() >= MANY
    return many and step > 1 and x.is_cpu and x.is_contiguous()


def largest_backward(
    d_y: Tensor, indices: Tensor, shape: torch.Size, dimensions: int, kernel: tuple[Any, ...]
) -> Tensor:
    """The gradient of what `largest` was given, of `shape`."""
    if 0 in shape:
        return d_y.new_zeros(shape)
    x = as_plane(d_y.new_empty(()).expand(shape), dimensions)  # the kernels ask it for its shape only
    back = aten.max_pool3d_with_indices_backward if dimensions == 3 else aten.max_pool2d_with_indices_backward
    return as_line(back(as_plane(d_y, dimensions), x, *kernel, as_plane(indices, dimensions)), dimensions)


class _MaxPool(Pooling):
    """Take the largest value of each window.

    Forward:   y[t] = max over k of x[stride * t + dilation * k - padding]; padding counts as minus infinity
    Backward:  d_x[s] = sum of d_y[t] over the windows t whose largest value is x[s], the first one of equals
    Kernel:    aten.max_pool2d_with_indices_backward and its 3d form; one dimension as a plane of height 1
    Shapes:    x: (channels, ...) with one, two or three sizes by the class, with or without a batch in front;
               y: each size (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1, rounded up
               with ceil_mode;  indices, with return_indices: as y, int64, places in the flattened sizes of x
    Raises:    ShapeError for other axes, or a window larger than the padded x;
               ArgumentError for arguments out of range, or padding above half of the window
    Source:    Yamaguchi et al. 1990, "A neural network for speaker-independent isolated word recognition"; of images:
               Weng, Ahuja and Huang 1992, "Cresceptron: a self-organizing neural network which grows adaptively"

    Example:
        >>> MaxPool1d(2)(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
        tensor([[3., 2.]])
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self._set_window(kernel_size, stride, padding, dilation)
        require_flag(self, "return_indices", return_indices)
        require_flag(self, "ceil_mode", ceil_mode)
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, x: Tensor) -> tuple[Output, tuple[Tensor, torch.Size]]:
        require_planes(self, x, self.dimensions)
        shape = self._pooled_shape(x.shape, self.ceil_mode)
        if x.numel() == 0:
            y, indices = x.new_empty(shape), x.new_empty(shape, dtype=torch.int64)
        else:
            y, indices = largest(x, self.dimensions, self._kernel())
        return ((y, indices) if self.return_indices else y), (indices, x.shape)

    def backward(self, d_output: Any, saved: tuple[Tensor, torch.Size]) -> Tensor | None:
        require_saved(self, saved, Tensor, torch.Size)
        indices, shape = saved
        require_own(self, "an output of", self._pooled_shape(shape, self.ceil_mode), tuple(indices.shape))
        d_y = upstream_of_values(self, d_output, indices.shape, self.return_indices)
        if not self.input_grad:
            return None
        return largest_backward(d_y, indices, shape, self.dimensions, self._kernel())

    tangent, backward_tangent = TAKEN

    def _kernel(self) -> tuple[Any, ...]:
        return (
            of_plane(self.kernel_size, 1),
            of_plane(self.stride, 1),
            of_plane(self.padding, 0),
            of_plane(self.dilation, 1),
            self.ceil_mode,
        )


class MaxPool1d(_MaxPool):
    dimensions = 1


class MaxPool2d(_MaxPool):
    dimensions = 2


class MaxPool3d(_MaxPool):
    dimensions = 3
