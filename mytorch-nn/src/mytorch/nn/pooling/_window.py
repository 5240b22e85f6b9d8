"""What the pooling layers share: windows, sizes, and one axis treated as two."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Directions, Module, ShapeError, require_floating, require_upstream
from mytorch.nn._spatial import Spatial
from mytorch.nn._tangents import BackwardTangent, Tangent, backward_of_both


def require_planes(owner: Module, x: Tensor, dimensions: int, name: str = "x") -> None:
    """Raise ShapeError unless x is (channels, ...) or (batch, channels, ...) and only the batch may be empty."""
    require_floating(owner, x, name)
    if x.dim() not in (dimensions + 1, dimensions + 2) or 0 in x.shape[x.dim() - dimensions - 1 :]:
        raise ShapeError(
            f"{type(owner).__name__}: {name} must have channels and {dimensions} size{'s' * (dimensions > 1)} after "
            f"them, none of them 0, with or without a batch in front, got {tuple(x.shape)}"
        )


class Pooling(Spatial):
    """The base of layers that make each window over the last `dimensions` axes one number."""

    def _set_window(self, kernel_size: Any, stride: Any, padding: Any = 0, dilation: Any = 1) -> None:
        """Keep the geometry. Raises ArgumentError, also for a padding above half of the window."""
        self.kernel_size = self._per_axis("kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else self._per_axis("stride", stride, 1)
        self.padding, self.dilation = self._per_axis("padding", padding, 0), self._per_axis("dilation", dilation, 1)
        for amount, window in zip(self.padding, self.kernel_size, strict=True):
            if 2 * amount > window:  # before it is dilated, as the kernels have it
                raise ArgumentError(
                    f"{self._name}: padding must be at most half of the window, {window // 2}, got {amount}"
                )

    def _pooled_shape(self, shape: torch.Size, ceil_mode: bool) -> tuple[int, ...]:
        """The shape of y. Raises ShapeError where the window is larger than the padded x."""
        sizes = []
        for axis, size in enumerate(shape[-self.dimensions :]):
            step, amount = self.stride[axis], self.padding[axis]
            span = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            count = (size + 2 * amount - span + (step - 1 if ceil_mode else 0)) // step + 1
            if ceil_mode and (count - 1) * step >= size + amount:
                count -= 1  # a window must begin within x or the padding before it
            if count < 1:
                raise ShapeError(
                    f"{self._name}: the window must not be larger than the padded x, got a span of {span} "
                    f"for {size + 2 * amount} values along axis {axis - self.dimensions} of {tuple(shape)}"
                )
            sizes.append(count)
        return (*shape[: -self.dimensions], *sizes)

    def _require_averaged(self, x: Tensor) -> None:
        """Raise ShapeError for a window larger than x, which the kernel of averages over three sizes does not take."""
        sizes = zip(x.shape[-3:], self.kernel_size, strict=False)
        if self.dimensions == 3 and any(size < window for size, window in sizes):
            raise ShapeError(
                f"{self._name}: the window must not be larger than x itself, got {self.kernel_size} for "
                f"{tuple(x.shape)}"
            )


def as_plane(x: Tensor, dimensions: int) -> Tensor:
    """One axis as a plane of height 1, which has more kernels; other numbers of axes as they are."""
    return x.unsqueeze(-2) if dimensions == 1 else x


def as_line(y: Tensor, dimensions: int) -> Tensor:
    """The inverse of `as_plane`."""
    return y.squeeze(-2) if dimensions == 1 else y


def of_plane(values: tuple[int, ...], fill: int) -> tuple[int, ...]:
    """The geometry that goes with `as_plane`."""
    return (fill, *values) if len(values) == 1 else values


def upstream_of_values(owner: Module, d_output: Any, shape: torch.Size, with_indices: bool) -> Tensor:
    """The gradient of y in that of the output, which is (y, indices) or y alone; indices have none.

    Raises ShapeError unless it is a tensor of this shape.
    """
    pair = with_indices and isinstance(d_output, tuple) and len(d_output) == 2
    d_y: Any = d_output[0] if pair else None if with_indices else d_output
    require_upstream(owner, d_y, shape)
    return cast(Tensor, d_y)


def tangent_of_taken(layer: Any, t_x: Tensor | None, saved: tuple[Any, ...], along: Directions) -> tuple[Any, None]:  # noqa: ARG001
    """The `tangent` of a layer that takes values of x from the places that it saves first."""
    t_y, indices, axes = None, saved[0], layer.dimensions
    if t_x is not None:
        t_y = t_x.flatten(-axes).gather(-1, indices.flatten(-axes)).reshape(indices.shape)
    return ((t_y, None) if layer.return_indices else t_y), None


TAKEN: tuple[Tangent, BackwardTangent] = tangent_of_taken, backward_of_both
"""`tangent` and `backward_tangent` of such a layer."""
