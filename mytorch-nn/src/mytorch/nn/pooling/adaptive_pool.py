"""Pooling to a given size: averages or largest values of windows that divide the input evenly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, require_flag, require_room, require_saved, require_upstream
from mytorch.nn._own import require_own
from mytorch.nn._spatial import Spatial
from mytorch.nn._tangents import LINEAR
from mytorch.nn.pooling._window import TAKEN, as_line, as_plane, of_plane, require_planes, upstream_of_values
from mytorch.plugins import shown

aten = torch.ops.aten


class _AdaptivePool(Spatial):
    def _set_size(self, output_size: int | Sequence[int | None] | None) -> None:
        """Keep the sizes of y, None for that of x. Raises ArgumentError."""
        count = self.dimensions
        given = (output_size,) * count if output_size is None or type(output_size) is int else output_size
        fits = isinstance(given, Sequence) and all(size is None or (type(size) is int and size >= 0) for size in given)
        if not (isinstance(given, Sequence) and fits and len(given) == count):
            raise ArgumentError(
                f"{self._name}: output_size must be {count} whole number{'s' * (count > 1)} of at least 0, or None "
                f"for the size of x, got {shown(output_size)}"
            )
        self.output_size = tuple(given)

    def _sizes(self, shape: torch.Size) -> tuple[int, ...]:
        return tuple(
            size if wanted is None else wanted
            for wanted, size in zip(self.output_size, shape[-self.dimensions :], strict=True)
        )

    def _output_shape(self, shape: torch.Size) -> tuple[int, ...]:
        return (*shape[: len(shape) - self.dimensions], *self._sizes(shape))


class _AdaptiveAvgPool(_AdaptivePool):
    """Take averages over windows of about equal size, as many as `output_size` says.

    Forward:   y[t] = average of x[start(t):end(t)] with start(t) = t * size // output_size and
               end(t) = ceil((t + 1) * size / output_size), along each axis
    Backward:  d_x[s] = sum over the windows t that hold x[s] of d_y[t] / (end(t) - start(t))
    Kernel:    aten._adaptive_avg_pool2d_backward and its 3d form; one dimension as a plane of height 1
    Shapes:    x: (channels, ...) with one, two or three sizes by the class, with or without a batch in front;
               y: the same with output_size, where None keeps the size of x
    Raises:    ShapeError for other axes; ArgumentError for an output_size below 0, or for a y that has no room in
               memory
    Source:    Lin, Chen and Yan 2013, "Network in network", for output_size 1; the windows of other sizes are those of
               torch.nn.AdaptiveAvgPool2d

    Example:
        >>> AdaptiveAvgPool1d(2)(torch.tensor([[1.0, 3.0, 2.0]]))
        tensor([[2.0000, 2.5000]])
    """

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        self._set_size(output_size)

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        require_planes(self, x, self.dimensions)
        shape = self._output_shape(x.shape)
        require_room(self, "y", shape, x, "lower output_size")
        if x.numel() == 0 or 0 in shape:
            return x.new_empty(shape), x.shape
        pool = aten._adaptive_avg_pool3d if self.dimensions == 3 else aten._adaptive_avg_pool2d
        y = pool(as_plane(x, self.dimensions), of_plane(self._sizes(x.shape), 1))
        return as_line(y, self.dimensions), x.shape

    def backward(self, d_y: Tensor, shape: torch.Size) -> Tensor | None:
        require_saved(self, shape, torch.Size)
        require_upstream(self, d_y, self._output_shape(shape))
        if not self.input_grad:
            return None
        if 0 in shape or d_y.numel() == 0:
            return d_y.new_zeros(shape)
        x = as_plane(d_y.new_empty(()).expand(shape), self.dimensions)  # the kernels ask it for its shape only
        back = aten._adaptive_avg_pool3d_backward if self.dimensions == 3 else aten._adaptive_avg_pool2d_backward
        return as_line(back(as_plane(d_y, self.dimensions).contiguous(), x), self.dimensions)

    tangent, backward_tangent = LINEAR


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    dimensions = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    dimensions = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    dimensions = 3


class _AdaptiveMaxPool(_AdaptivePool):
    """Take the largest values of windows of about equal size, as many as `output_size` says.

    Forward:   y[t] = max of x[start(t):end(t)] with the windows of the AdaptiveAvgPool of the same dimensions
    Backward:  d_x[s] = sum of d_y[t] over the windows t whose largest value is x[s], the first one of equals
    Kernel:    aten.adaptive_max_pool2d_backward and its 3d form; one dimension as a plane of height 1
    Shapes:    x: (channels, ...) with one, two or three sizes by the class, with or without a batch in front;
               y: the same with output_size;  indices, with return_indices: as y, int64, places in the flattened sizes
    Raises:    ShapeError for other axes; ArgumentError for an output_size below 0, or for a y that has no room in
               memory
    Source:    He et al. 2014, "Spatial pyramid pooling in deep convolutional networks for visual recognition", for
               pooling to a given size; the windows are those of torch.nn.AdaptiveMaxPool2d

    Example:
        >>> AdaptiveMaxPool1d(2)(torch.tensor([[1.0, 3.0, 2.0]]))
        tensor([[3., 3.]])
    """

    def __init__(self, output_size: int | Sequence[int | None] | None, return_indices: bool = False) -> None:
        self._set_size(output_size)
        require_flag(self, "return_indices", return_indices)
        self.return_indices = return_indices

    def forward(self, x: Tensor) -> tuple[Tensor | tuple[Tensor, Tensor], tuple[Tensor, torch.Size]]:
        require_planes(self, x, self.dimensions)
        shape = self._output_shape(x.shape)
        require_room(self, "indices", shape, x, "lower output_size", dtype=torch.int64)
        if x.numel() == 0 or 0 in shape:
            y, indices = x.new_empty(shape), x.new_empty(shape, dtype=torch.int64)
        else:
            pool = aten.adaptive_max_pool3d if self.dimensions == 3 else aten.adaptive_max_pool2d
            pair = pool(as_plane(x, self.dimensions), of_plane(self._sizes(x.shape), 1))
            y, indices = (as_line(each, self.dimensions) for each in pair)
        return ((y, indices) if self.return_indices else y), (indices, x.shape)

    def backward(self, d_output: Any, saved: tuple[Tensor, torch.Size]) -> Tensor | None:
        require_saved(self, saved, Tensor, torch.Size)
        indices, shape = saved
        require_own(self, "an output of", self._output_shape(shape), tuple(indices.shape))
        d_y = upstream_of_values(self, d_output, indices.shape, self.return_indices)
        if not self.input_grad:
            return None
        if 0 in shape or d_y.numel() == 0:
            return d_y.new_zeros(shape)
        x = as_plane(d_y.new_empty(()).expand(shape), self.dimensions)
        back = aten.adaptive_max_pool3d_backward if self.dimensions == 3 else aten.adaptive_max_pool2d_backward
        return as_line(back(as_plane(d_y, self.dimensions), x, as_plane(indices, self.dimensions)), self.dimensions)

    tangent, backward_tangent = TAKEN


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    dimensions = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    dimensions = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    dimensions = 3
