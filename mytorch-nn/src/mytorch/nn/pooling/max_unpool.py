"""Largest values put back to where they were taken from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    DtypeError,
    ShapeError,
    require_dtype,
    require_input,
    require_room,
    require_same_device,
    require_saved,
    require_upstream,
)
from mytorch.nn._own import require_own
from mytorch.nn._tangents import backward_of_both
from mytorch.nn._visible import out_of_range
from mytorch.nn.pooling._window import Pooling, as_line, as_plane, of_plane, require_planes
from mytorch.plugins import shown

aten = torch.ops.aten

Saved = tuple[Tensor, torch.Size, torch.dtype, tuple[Any, ...]]


def _fed(dimensions: int) -> dict[str, Any]:
    """What the kit feeds a class: the indices of windows of two along each axis, as a MaxPool gives them."""
    places = torch.arange(4**dimensions).reshape((4,) * dimensions)[(slice(None, None, 2),) * dimensions]
    shape = (2, 3, *(2,) * dimensions)
    return {
        "arguments": {"kernel_size": 2},
        "inputs": [shape, places.expand(shape).contiguous()],
        "tags": ("fixed_dimensions",),
    }


class _MaxUnpool(Pooling):
    """Put the values that a MaxPool of the same geometry took back to their places, with zeros in all others.

    Forward:   y[indices[t]] = input[t], 0 elsewhere, places counted in the flattened sizes of y
    Backward:  d_input[t] = d_y[indices[t]]; so the derivative where no place is named twice. Of values for one place,
               as overlapping windows give them, the last one stays, and all get the gradient of that place
    Kernel:    aten.max_unpool2d and its 3d form; one dimension as a plane of height 1
    Shapes:    input: (channels, ...) with one, two or three sizes by the class, with or without a batch in front;
               indices: as input, int64;  y: each size (size - 1) * stride + kernel_size - 2 * padding, or output_size,
               which differs from it by less than stride
    Raises:    ShapeError for other axes, indices of another shape, an output_size that does not fit, or if d_y has not
               the shape of y;  DtypeError for an input that is not floating point or indices that are not int64;
               ArgumentError on the CPU for an index beyond y, and for arguments out of range;
               ArgumentError for a y that has no room in memory
    Source:    Zeiler, Taylor and Fergus 2011, "Adaptive deconvolutional networks for mid and high level feature
               learning"

    Example:
        >>> y, indices = MaxPool1d(2, return_indices=True)(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
        >>> MaxUnpool1d(2)(y, indices)
        tensor([[0., 3., 2., 0.]])
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
    ) -> None:
        self._set_window(kernel_size, stride, padding)

    def forward(
        self,
        input: Tensor,  # noqa: A002
        indices: Tensor,
        *,
        output_size: Sequence[int] | None = None,
    ) -> tuple[Tensor, Saved]:
        require_planes(self, input, self.dimensions, "input")
        self._require_indices(indices, input)
        count = self.dimensions
        shape = torch.Size((*input.shape[:-count], *self._sizes(input.shape[-count:], output_size)))
        require_room(self, "y", shape, input, "lower kernel_size or stride")
        saved = indices, shape, input.dtype, self._geometry()
        if not input.numel():
            return input.new_zeros(shape), saved
        try:
            return self._put(input, indices, shape[-count:]), saved
        except RuntimeError:  # torch looks at each place anyway
            size = math.prod(shape[-count:])
            beyond = out_of_range(indices, size)
            if beyond is None:
                raise
            raise ArgumentError(
                f"{self._name}: indices must be positions between 0 and {size - 1} in y of {tuple(shape)}, got "
                f"{beyond}"
            ) from None

    def backward(self, d_y: Tensor, saved: Saved) -> tuple[Tensor | None, None]:
        require_saved(self, saved, Tensor, torch.Size, torch.dtype, tuple)
        indices, shape, dtype, geometry = saved
        require_own(self, "kernel_size, stride and padding", self._geometry(), geometry)
        require_upstream(self, d_y, shape)
        require_dtype(self, d_y, dtype, "d_y", "output")
        if not self.input_grad:
            return None, None
        if not indices.numel():
            return d_y.new_empty(indices.shape), None
        lead = shape[: -self.dimensions]
        return d_y.reshape(*lead, -1).gather(-1, indices.reshape(*lead, -1)).reshape(indices.shape), None

    def tangent(
        self,
        t_input: tuple[Tensor | None, None] | None,
        saved: Saved,
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor | None, None]:
        if t_input is None or t_input[0] is None:
            return None, None
        indices, shape, *_ = saved
        return self.forward(t_input[0], indices, output_size=shape[-self.dimensions :])[0], None

    backward_tangent = backward_of_both

    def _put(self, values: Tensor, places: Tensor, sizes: torch.Size) -> Tensor:
        y: Tensor
        if self.dimensions == 3:
            y = aten.max_unpool3d(values, places, sizes, self.stride, self.padding)
            return y
        plane, at = as_plane(values, self.dimensions), as_plane(places, self.dimensions)
        y = aten.max_unpool2d(plane, at, of_plane(tuple(sizes), 1))
        return as_line(y, self.dimensions)

    def _geometry(self) -> tuple[Any, ...]:
        return self.kernel_size, self.stride, self.padding

    def _require_indices(self, indices: Tensor, values: Tensor) -> None:
        require_input(self, indices, "indices")
        if indices.dtype is not torch.int64:
            raise DtypeError(f"{self._name}: indices must be int64, got {indices.dtype}; convert with .long()")
        if indices.shape != values.shape:
            raise ShapeError(
                f"{self._name}: indices must have the shape of input, {tuple(values.shape)}, "
                f"got {tuple(indices.shape)}"
            )
        require_same_device(self, indices, values, "indices", "input")

    def _sizes(self, pooled: Sequence[int], wanted: Sequence[int] | None) -> tuple[int, ...]:
        """The sizes of y, which are those wanted if so many can be pooled to these.

        Raises ArgumentError for what are no whole numbers; ShapeError for sizes that do not fit.
        """
        count = self.dimensions
        sizes = [
            (size - 1) * step + window - 2 * amount
            for size, step, window, amount in zip(pooled, self.stride, self.kernel_size, self.padding, strict=True)
        ]
        if wanted is None:
            return tuple(sizes)
        if not isinstance(wanted, Sequence) or not all(isinstance(size, int) for size in wanted):
            raise ArgumentError(f"{self._name}: output_size must be a tuple of whole numbers, got {shown(wanted)}")
        last = tuple(wanted)[-count:]
        near = all(abs(size - own) < step for size, own, step in zip(last, sizes, self.stride, strict=False))
        if len(wanted) not in (count, count + 1, count + 2) or not near:
            raise ShapeError(
                f"{self._name}: output_size must have {count} sizes, with or without the batch and channels before "
                f"them, that differ from {tuple(sizes)} by less than stride, {self.stride}, got {tuple(wanted)}"
            )
        return last


class MaxUnpool1d(_MaxUnpool):
    dimensions = 1
    conformance = _fed(1)


class MaxUnpool2d(_MaxUnpool):
    dimensions = 2
    conformance = _fed(2)


class MaxUnpool3d(_MaxUnpool):
    dimensions = 3
    conformance = _fed(3)
