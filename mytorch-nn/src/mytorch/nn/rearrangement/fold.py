"""Windows cut out of images, and images put together from windows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import ShapeError, require_floating, require_room, require_saved, require_upstream
from mytorch.nn._spatial import Spatial
from mytorch.nn._tangents import LINEAR

direct = torch._C._nn  # a call through torch.ops takes twice as long

MANY, MANY_IN_ROW = 2**14, 16
"""Numbers of one place in all windows, and of windows in a row, from which on a call of its own is worth it."""


class _Windows(Spatial):
    """The base of Fold and Unfold, each the backward of the other."""

    def _set_windows(self, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> None:
        self.kernel_size = self._per_axis("kernel_size", kernel_size, 1)
        self.dilation = self._per_axis("dilation", dilation, 1)
        self.padding, self.stride = self._per_axis("padding", padding, 0), self._per_axis("stride", stride, 1)

    def _counts(self, sizes: Sequence[int]) -> list[int]:
        """How many windows an image of these sizes has along each axis. Raises ShapeError for larger ones."""
        counts = []
        for size, window, spread, amount, step in zip(
            sizes, self.kernel_size, self.dilation, self.padding, self.stride, strict=True
        ):
            span = spread * (window - 1) + 1
            if span > size + 2 * amount:
                raise ShapeError(
                    f"{self._name}: the window must not be larger than the padded image, got a span of {span} "
                    f"for {size + 2 * amount} values in an image of {tuple(sizes)}"
                )
            counts.append((size + 2 * amount - span) // step + 1)
        return counts

    def _count(self, sizes: Sequence[int]) -> int:
        """How many windows an image of these sizes has."""
        return math.prod(self._counts(sizes))

    def _places(self, sizes: Sequence[int]) -> Iterator[tuple[tuple[int, slice, slice], tuple[int, slice, slice]]]:
        """Of each place in a window, by axis: the place, the windows where it lies in the image, and where there."""
        axes = zip(sizes, self._counts(sizes), self.kernel_size, self.dilation, self.padding, self.stride, strict=True)
        by_axis = []
        for size, count, window, spread, amount, step in axes:
            offsets = [spread * place - amount for place in range(window)]
            firsts = [max(0, -(offset // step)) for offset in offsets]
            lasts = [min(count - 1, (size - 1 - offset) // step) for offset in offsets]
            by_axis.append(
                [
                    (place, slice(first, last + 1), slice(first * step + offset, last * step + offset + 1, step))
                    for place, (offset, first, last) in enumerate(zip(offsets, firsts, lasts, strict=True))
                    if first <= last
                ]
            )
        yield from product(*by_axis)

    def _cut(self, image: Tensor) -> Tensor:
        """(..., channels, height, width) becomes (..., channels * window, windows)."""
        *leading, channels, height, width = image.shape
        counts = self._counts((height, width))
        shape = *leading, channels * math.prod(self.kernel_size), math.prod(counts)
        if not image.numel():
            return image.new_empty(shape)
        if not self._is_for_slices(image, counts, math.prod(shape)):
            kernel: Tensor = direct.im2col(image, self.kernel_size, self.dilation, self.padding, self.stride)
            return kernel
        windows = image.new_zeros(*leading, channels, *self.kernel_size, *counts)
        for (a, i, h), (b, j, w) in self._places((height, width)):
            windows[..., a, b, i, j] = image[..., h, w]
        return windows.view(shape)

    def _sum(self, windows: Tensor, sizes: Sequence[int]) -> Tensor:
        """(..., channels * window, windows) becomes (..., channels, *sizes): what overlaps is added."""
        *leading, values, _ = windows.shape
        shape = *leading, values // math.prod(self.kernel_size), *sizes
        if windows.numel() and not self._is_for_slices(windows, self._counts(sizes), windows.numel()):
            geometry = self.kernel_size, self.dilation, self.padding, self.stride
            return direct.col2im(windows, tuple(sizes), *geometry)
        image = windows.new_zeros(shape)
        if windows.numel():
            by_place = windows.reshape(*shape[:-2], *self.kernel_size, *self._counts(sizes))
            for (a, i, h), (b, j, w) in self._places(sizes):
                image[..., h, w] += by_place[..., a, b, i, j]
        return image

    def _is_for_slices(self, x: Tensor, counts: Sequence[int], numbers: int) -> bool:
        """Whether a call for each place in a window is faster than the kernel.

        On a CPU, the kernel works out for each number where it belongs. Slices with steps, or of short rows, are no
        faster.
        counts: of windows along each axis;  numbers: those of all windows
        """
        many = numbers >= MANY * math.prod(self.kernel_size) and counts[-1] >= MANY_IN_ROW
        return many and self.stride[-1] == 1 and x.is_cpu


class Unfold(_Windows):
    """Cut windows out of an image, each as a column of its numbers.

    Forward:   y[(c, a, b), (i, j)] = x[c, stride * i + dilation * a - padding, stride * j + dilation * b - padding],
               0 in the padding; channel c and place (a, b) in the window are joined as one axis, so are the windows
               (i, j)
    Backward:  d_x[c, h, w] = sum of d_y[(c, a, b), (i, j)] over the places that hold x[c, h, w], as Fold
    Kernel:    aten.im2col, backward aten.col2im; or slices of large images on a CPU
    Shapes:    x: (channels, height, width), with or without a batch in front;
               y: (channels * height_of_window * width_of_window, windows), along each axis
               (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1 of them
    Raises:    ShapeError for other axes, a window larger than the padded image, or if d_y has not the shape of y;
               DtypeError for integers; ArgumentError for arguments out of range, or for a y that has no room in memory
    Source:    Chellapilla, Puri and Simard 2006, "High performance convolutional neural networks for document
               processing"

    Example:
        >>> Unfold((1, 2))(torch.tensor([[[1.0, 2.0, 3.0]]]))
        tensor([[1., 2.],
                [2., 3.]])
    """

    dimensions = 2
    conformance: ClassVar[dict[str, Any]] = {"arguments": {"kernel_size": 2}, "tags": ("fixed_dimensions",)}

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        dilation: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        stride: int | Sequence[int] = 1,
    ) -> None:
        self._set_windows(kernel_size, dilation, padding, stride)

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        require_floating(self, x)
        if x.dim() not in (3, 4) or 0 in x.shape[-3:]:
            raise ShapeError(
                "Unfold: x must be (channels, height, width), none of them 0, with or without a batch in front, "
                f"got {tuple(x.shape)}"
            )
        *leading, channels, height, width = x.shape
        shape = (*leading, channels * math.prod(self.kernel_size), self._count((height, width)))
        require_room(self, "y", shape, x, "lower kernel_size or padding")
        return self._cut(x), x.shape

    def backward(self, d_y: Tensor, shape: torch.Size) -> Tensor | None:
        require_saved(self, shape, torch.Size)
        *leading, channels, height, width = shape
        count = self._count((height, width))
        require_upstream(self, d_y, (*leading, channels * math.prod(self.kernel_size), count))
        return self._sum(d_y, (height, width)) if self.input_grad else None

    tangent, backward_tangent = LINEAR


class Fold(_Windows):
    """Put an image together from windows; where windows overlap, their numbers are added.

    Forward:   y[c, h, w] = sum of x[(c, a, b), (i, j)] over the places with h = stride * i + dilation * a - padding
               and w = stride * j + dilation * b - padding; the axes are joined as in Unfold
    Backward:  d_x[(c, a, b), (i, j)] = d_y at the place where it was added, 0 in the padding, as Unfold
    Kernel:    aten.col2im, backward aten.im2col; or slices of large images on a CPU
    Shapes:    x: (channels * height_of_window * width_of_window, windows), with or without a batch in front, as many
               windows as Unfold cuts out of an image of output_size;  y: (channels, *output_size)
    Raises:    ShapeError for other axes, another number of windows, numbers that are no whole windows, a window larger
               than the padded image, or if d_y has not the shape of y;  DtypeError for integers;
               ArgumentError for arguments out of range, or for a y that has no room in memory
    Source:    torch.nn.functional.fold, whose definition it follows; it is the transpose of Unfold

    Example:
        >>> Fold((1, 3), (1, 2))(torch.tensor([[1.0, 2.0], [2.0, 3.0]]))
        tensor([[[1., 4., 3.]]])
    """

    dimensions = 2
    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"output_size": 3, "kernel_size": 2},
        "inputs": [(2, 8, 4)],
        "tags": ("fixed_dimensions",),
    }

    def __init__(
        self,
        output_size: int | Sequence[int],
        kernel_size: int | Sequence[int],
        dilation: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        stride: int | Sequence[int] = 1,
    ) -> None:
        self.output_size = self._per_axis("output_size", output_size, 1)
        self._set_windows(kernel_size, dilation, padding, stride)

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        require_floating(self, x)
        count, window = self._count(self.output_size), math.prod(self.kernel_size)
        if x.dim() not in (2, 3) or x.shape[-1] != count or x.shape[-2] % window or not x.shape[-2]:
            raise ShapeError(
                f"Fold: x must be (channels * {window}, {count}), the numbers of a window and the windows of an image "
                f"of {self.output_size}, with or without a batch in front, got {tuple(x.shape)}"
            )
        shape = (*x.shape[:-2], x.shape[-2] // window, *self.output_size)
        require_room(self, "y", shape, x, "lower output_size")
        return self._sum(x, self.output_size), x.shape

    def backward(self, d_y: Tensor, shape: torch.Size) -> Tensor | None:
        require_saved(self, shape, torch.Size)
        *leading, values, _ = shape
        require_upstream(self, d_y, (*leading, values // math.prod(self.kernel_size), *self.output_size))
        return self._cut(d_y) if self.input_grad else None

    tangent, backward_tangent = LINEAR
