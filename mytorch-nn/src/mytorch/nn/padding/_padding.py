"""What the padding layers share: the amounts of a pad, and the pad of each mode with its backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import (
    ArgumentError,
    Directions,
    DtypeError,
    Module,
    ShapeError,
    require_input,
    require_room,
    require_saved,
    require_upstream,
)
from mytorch.nn._spatial import Spatial
from mytorch.nn._tangents import backward_of_both
from mytorch.plugins import shown

aten = torch.ops.aten
_BACKWARD: dict[tuple[str, int], Callable[..., Tensor]] = {
    ("reflect", 1): aten.reflection_pad1d_backward.default,
    ("reflect", 2): aten.reflection_pad2d_backward.default,
    ("reflect", 3): aten.reflection_pad3d_backward.default,
    ("replicate", 1): aten.replication_pad1d_backward.default,
    ("replicate", 2): aten.replication_pad2d_backward.default,
    ("replicate", 3): aten.replication_pad3d_backward.default,
}


def pad(x: Tensor, padding: Sequence[int], mode: str, value: float = 0.0) -> Tensor:
    """The last axes of `x` with `padding` added: the last axis' two amounts first, as torch orders them."""
    return F.pad(x, list(padding), mode, value if mode == "constant" else None)


def pad_backward(d_y: Tensor, shape: torch.Size, padding: Sequence[int], mode: str) -> Tensor:
    """The gradient of what was padded, of `shape`: each added value sends its gradient to the value it copied."""
    if mode == "constant":
        return F.pad(d_y, [-amount for amount in padding])
    if 0 in shape:
        return d_y.new_zeros(shape)
    if mode == "circular":
        for number in range(len(padding) // 2):
            d_y = _circular_backward(d_y, -1 - number, padding[2 * number], padding[2 * number + 1])
        return d_y
    x = d_y.new_empty(()).expand(shape)  # the kernels ask it for its shape only
    return _BACKWARD[mode, len(padding) // 2](d_y, x, list(padding))


def _circular_backward(d_y: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Along one axis: what stands before copies the end, what stands after copies the beginning.

    A negative amount cuts values off before anything is copied: they have no gradient.
    """
    low, high = max(before, 0), max(after, 0)
    length = d_y.shape[axis] - low - high
    d_x = d_y.narrow(axis, low, length).clone()
    d_x.narrow(axis, length - low, low).add_(d_y.narrow(axis, 0, low))
    d_x.narrow(axis, 0, high).add_(d_y.narrow(axis, low + length, high))
    return F.pad(d_x, [0, 0] * (-axis - 1) + [low - before, high - after]) if min(before, after) < 0 else d_x


class Padding(Spatial):
    """The base of the padding layers: checks, shapes, and the two directions of a mode.

    mode: torch's name of what the added values are.
    """

    mode: ClassVar[str]
    value: float = 0.0

    def __init__(self, padding: int | Sequence[int]) -> None:
        self.padding = amounts(self, padding, 2 * self.dimensions)

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        require_input(self, x)
        require_paddable(self, x, self.padding, self.mode)
        try:
            return pad(x, self.padding, self.mode, self.value), x.shape
        except NotImplementedError as error:  # of truth values, where the values of x are copied
            raise DtypeError(
                f"{type(self).__name__}: x must have a dtype that torch pads in mode {self.mode!r}, got {x.dtype}; "
                "convert with .float()"
            ) from error
        except RuntimeError as error:
            if "without overflow" not in str(error):
                raise
            raise DtypeError(
                f"{type(self).__name__}: x must have a dtype that holds value = {self.value}, got {x.dtype}; convert "
                "with .float()"
            ) from error

    def backward(self, d_y: Tensor, shape: torch.Size) -> Tensor | None:
        require_saved(self, shape, torch.Size)
        require_upstream(self, d_y, padded_shape(shape, self.padding))
        return pad_backward(d_y, shape, self.padding, self.mode) if self.input_grad else None

    def tangent(self, t_x: Tensor | None, shape: torch.Size, along: Directions) -> tuple[Tensor | None, None]:  # noqa: ARG002
        return None if t_x is None else pad(t_x, self.padding, self.mode), None

    backward_tangent = backward_of_both


def amounts(owner: Module, padding: int | Sequence[int], count: int) -> tuple[int, ...]:
    """The padding as `count` whole numbers; one number stands for all. Raises ArgumentError."""
    given = (padding,) * count if type(padding) is int else padding
    if not isinstance(given, Sequence) or len(given) != count or any(type(amount) is not int for amount in given):
        raise ArgumentError(
            f"{type(owner).__name__}: padding must be a whole number or {count} of them, got {shown(padding)}"
        )
    return tuple(given)


def padded_shape(shape: Sequence[int], padding: Sequence[int]) -> tuple[int, ...]:
    """The shape after padding."""
    new = list(shape)
    for number in range(len(padding) // 2):
        new[-1 - number] += padding[2 * number] + padding[2 * number + 1]
    return tuple(new)


def require_paddable(owner: Module, x: Tensor, padding: Sequence[int], mode: str) -> None:
    """Raise ShapeError unless `x` has the axes, and along them the values, that a mode needs.

    Raises ArgumentError if there is no room for what comes out.
    """
    axes, name = len(padding) // 2, type(owner).__name__
    if mode == "constant":
        if x.dim() < axes:
            raise ShapeError(f"{name}: x must have at least {axes} axes, got {x.dim()} in {tuple(x.shape)}")
    elif x.dim() not in (axes + 1, axes + 2) or 0 in x.shape[x.dim() - axes - 1 :]:
        raise ShapeError(
            f"{name}: x must have {axes + 1} axes that are not empty, with or without a batch in front, "
            f"got {tuple(x.shape)}"
        )
    shape = list(x.shape)
    for axis in range(-1, -1 - axes, -1):
        size, before, after = shape[axis], padding[-2 * axis - 2], padding[-2 * axis - 1]
        kept = size + min(before, 0) + min(after, 0)
        most = {"reflect": size - 1, "circular": kept}.get(mode, max(before, after))
        if max(before, after) > most:
            raise ShapeError(f"{name}: padding of an axis of {size} must be at most {most}, got {(before, after)}")
        if (kept < 0) if mode == "constant" else (size + before + after < 1):
            raise ShapeError(f"{name}: padding must not cut off more than the {size} values, got {(before, after)}")
        shape[axis] += before + after
    require_room(owner, "y", shape, x, "lower padding")
