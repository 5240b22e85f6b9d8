"""The same numbers in the same order, along other axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Module,
    ShapeError,
    require_input,
    require_saved,
    require_upstream,
    require_whole,
)
from mytorch.nn._tangents import LINEAR
from mytorch.plugins import shown


class _Reshaped(Module):
    """A layer whose output is x in another shape, which `_shape` says."""

    conformance: ClassVar[dict[str, Any]] = {"tags": ("fixed_dimensions",)}

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[torch.Size, torch.Size]]:
        require_input(self, x)
        y = x.reshape(self._shape(x.shape))
        return y, (x.shape, y.shape)

    def backward(self, d_y: Tensor, saved: tuple[torch.Size, torch.Size]) -> Tensor | None:
        require_saved(self, saved, torch.Size, torch.Size)
        x_shape, y_shape = saved
        require_upstream(self, d_y, y_shape)
        return d_y.reshape(x_shape) if self.input_grad else None

    tangent, backward_tangent = LINEAR

    def _shape(self, shape: torch.Size) -> tuple[int, ...]:
        """The shape of y for that of x."""
        raise NotImplementedError


class Flatten(_Reshaped):
    """Join the axes from start_dim to end_dim, both included.

    Forward:   y = x with these axes made one
    Backward:  d_x = d_y in the shape of x
    Shapes:    x: (..., s_start, ..., s_end, ...);  y: (..., s_start * ... * s_end, ...)
    Raises:    ShapeError if x has no such axes, or d_y has not the shape of y;
               ArgumentError if an axis is no whole number
    Source:    torch.flatten, whose definition it follows

    Example:
        >>> Flatten()(torch.zeros(5, 2, 3)).shape
        torch.Size([5, 6])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        require_whole(self, "start_dim", start_dim, None)
        require_whole(self, "end_dim", end_dim, None)
        self.start_dim, self.end_dim = start_dim, end_dim

    def _shape(self, shape: torch.Size) -> tuple[int, ...]:
        axes = range(max(len(shape), 1))
        if not (-len(axes) <= self.start_dim < len(axes) and -len(axes) <= self.end_dim < len(axes)) or (
            axes[self.start_dim] > axes[self.end_dim]
        ):
            raise ShapeError(
                f"Flatten: x must have axes {self.start_dim} to {self.end_dim}, in this order, "
                f"got {len(shape)} axes in {tuple(shape)}"
            )
        start, end = axes[self.start_dim], axes[self.end_dim] + 1
        return (*shape[:start], math.prod(shape[start:end]), *shape[end:])


class Unflatten(_Reshaped):
    """Split one axis into several.

    Forward:   y = x with axis dim made axes of the sizes unflattened_size
    Backward:  d_x = d_y in the shape of x
    Shapes:    x: (..., size, ...);  y: (..., *unflattened_size, ...), whose product is size; one of them may be -1
    Raises:    ShapeError if x has no such axis, or its size is another, or d_y has not the shape of y;
               ArgumentError if dim is no whole number, or unflattened_size not at least one of them
    Source:    torch.unflatten, whose definition it follows

    Example:
        >>> Unflatten(1, (2, -1))(torch.zeros(5, 6)).shape
        torch.Size([5, 2, 3])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"dim": 1, "unflattened_size": (2, -1)},
        "inputs": [(3, 4)],
        "tags": ("fixed_dimensions",),
    }

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        require_whole(self, "dim", dim, None)
        self.dim, self.unflattened_size = dim, _sizes(self, "unflattened_size", unflattened_size)
        if not self.unflattened_size:
            raise ArgumentError("Unflatten: unflattened_size must have at least one size, got ()")

    def _shape(self, shape: torch.Size) -> tuple[int, ...]:
        count = len(shape)
        if not -count <= self.dim < count:
            raise ShapeError(f"Unflatten: x must have an axis {self.dim}, got {count} axes in {tuple(shape)}")
        at = self.dim % count
        return (*shape[:at], *_filled(self, self.unflattened_size, shape[at], shape), *shape[at + 1 :])


class Reshape(_Reshaped):
    """Give each row of a batch another shape.

    Forward:   y = x with all axes but the first made axes of the sizes `shape`
    Backward:  d_x = d_y in the shape of x
    Shapes:    x: (batch, ...);  y: (batch, *shape), as many numbers a row; one of the sizes may be -1
    Raises:    ShapeError if x has no axis, or a row has another count of numbers, or d_y has not the shape of y;
               ArgumentError unless shape is a sequence of whole numbers, of which one at most is -1
    Source:    torch.reshape, whose definition it follows

    Example:
        >>> Reshape([1, 2, -1])(torch.zeros(5, 6)).shape
        torch.Size([5, 1, 2, 3])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"shape": (2, -1)},
        "inputs": [(3, 4)],
        "tags": ("fixed_dimensions",),
    }

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = _sizes(self, "shape", shape)

    def _shape(self, shape: torch.Size) -> tuple[int, ...]:
        if not shape:
            raise ShapeError("Reshape: x must have a batch axis, got ()")
        return shape[0], *_filled(self, self.shape, math.prod(shape[1:]), shape)


def _sizes(owner: Module, name: str, sizes: Any) -> tuple[int, ...]:
    """Sizes of axes, of which one may be -1. Raises ArgumentError."""
    fits = isinstance(sizes, Sequence) and all(type(size) is int and size >= -1 for size in sizes)
    if not fits or list(sizes).count(-1) > 1:
        raise ArgumentError(
            f"{type(owner).__name__}: {name} must be a sequence of whole numbers of at least 0, of which one may be "
            f"-1, got {shown(sizes)}"
        )
    return tuple(sizes)


def _filled(owner: Module, sizes: tuple[int, ...], count: int, shape: torch.Size) -> tuple[int, ...]:
    """Sizes whose product is `count`, with the -1 among them replaced. Raises ShapeError if there are none."""
    known = math.prod([size for size in sizes if size != -1])
    if -1 in sizes and known and count % known == 0:
        return tuple([count // known if size == -1 else size for size in sizes])
    if known != count or -1 in sizes:
        raise ShapeError(
            f"{type(owner).__name__}: x must have {sizes} numbers along the axes that are reshaped, got {count} "
            f"in {tuple(shape)}"
        )
    return sizes
