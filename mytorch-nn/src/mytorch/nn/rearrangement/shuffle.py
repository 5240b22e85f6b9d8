"""Channels in another order, or exchanged for resolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import (
    DtypeError,
    Module,
    ShapeError,
    require_input,
    require_room,
    require_saved,
    require_upstream,
    require_whole,
)
from mytorch.nn._own import require_own
from mytorch.nn._tangents import LINEAR


class PixelShuffle(Module):
    """Make an image larger by taking the pixels of each new block from as many channels: sub-pixel upsampling.

    Forward:   y[c, h * r + i, w * r + j] = x[c * r * r + i * r + j, h, w] with r = upscale_factor and i, j < r
    Backward:  d_x[c * r * r + i * r + j, h, w] = d_y[c, h * r + i, w * r + j], as PixelUnshuffle
    Shapes:    x: (..., channels * r * r, height, width);  y: (..., channels, height * r, width * r)
    Raises:    ShapeError for fewer than 3 axes, channels that r * r does not divide, or if d_y has not the shape of y;
               ArgumentError for an upscale_factor below 1; DtypeError for a dtype that torch only stores
    Source:    Shi et al. 2016, "Real-time single image and video super-resolution using an efficient sub-pixel
               convolutional neural network"

    Example:
        >>> PixelShuffle(2)(torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1))
        tensor([[[1., 2.],
                 [3., 4.]]])
    """

    conformance: ClassVar[dict[str, Any]] = {"arguments": {"upscale_factor": 2}, "inputs": [(2, 4, 2, 3)]}

    def __init__(self, upscale_factor: int) -> None:
        require_whole(self, "upscale_factor", upscale_factor, 1)
        self.upscale_factor = upscale_factor

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        require_input(self, x)
        r = self.upscale_factor
        if x.dim() < 3 or x.shape[-3] % r**2:
            raise ShapeError(
                f"PixelShuffle: x must be (..., channels, height, width) with channels that {r**2} divides, "
                f"got {tuple(x.shape)}"
            )
        return _by_kernel(self, F.pixel_shuffle, x, self._shape(x.shape), r), x.shape

    def backward(self, d_y: Tensor, shape: torch.Size) -> Tensor | None:
        require_saved(self, shape, torch.Size)
        require_upstream(self, d_y, self._shape(shape))
        return _by_kernel(self, F.pixel_unshuffle, d_y, shape, self.upscale_factor) if self.input_grad else None

    tangent, backward_tangent = LINEAR

    def _shape(self, shape: torch.Size) -> tuple[int, ...]:
        (*leading, channels, height, width), r = shape, self.upscale_factor
        return (*leading, channels // r**2, height * r, width * r)


class PixelUnshuffle(Module):
    """Make an image smaller by giving the pixels of each block a channel of their own: the inverse of PixelShuffle.

    Forward:   y[c * r * r + i * r + j, h, w] = x[c, h * r + i, w * r + j] with r = downscale_factor and i, j < r
    Backward:  d_x[c, h * r + i, w * r + j] = d_y[c * r * r + i * r + j, h, w], as PixelShuffle
    Shapes:    x: (..., channels, height * r, width * r);  y: (..., channels * r * r, height, width)
    Raises:    ShapeError for fewer than 3 axes, sizes that r does not divide, or if d_y has not the shape of y;
               ArgumentError for a downscale_factor below 1; DtypeError for a dtype that torch only stores
    Source:    Shi et al. 2016, "Real-time single image and video super-resolution using an efficient sub-pixel
               convolutional neural network"

    Example:
        >>> PixelUnshuffle(2)(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).flatten()
        tensor([1., 2., 3., 4.])
    """

    conformance: ClassVar[dict[str, Any]] = {"arguments": {"downscale_factor": 2}, "inputs": [(2, 3, 2, 4)]}

    def __init__(self, downscale_factor: int) -> None:
        require_whole(self, "downscale_factor", downscale_factor, 1)
        self.downscale_factor = downscale_factor

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        require_input(self, x)
        r = self.downscale_factor
        if x.dim() < 3 or x.shape[-1] % r or x.shape[-2] % r:
            raise ShapeError(
                f"PixelUnshuffle: x must be (..., channels, height, width) with sizes that {r} divides, "
                f"got {tuple(x.shape)}"
            )
        return _by_kernel(self, F.pixel_unshuffle, x, self._shape(x.shape), r), x.shape

    def backward(self, d_y: Tensor, shape: torch.Size) -> Tensor | None:
        require_saved(self, shape, torch.Size)
        require_upstream(self, d_y, self._shape(shape))
        return _by_kernel(self, F.pixel_shuffle, d_y, shape, self.downscale_factor) if self.input_grad else None

    tangent, backward_tangent = LINEAR

    def _shape(self, shape: torch.Size) -> tuple[int, ...]:
        (*leading, channels, height, width), r = shape, self.downscale_factor
        return (*leading, channels * r**2, height // r, width // r)


class ChannelShuffle(Module):
    """Mix groups of channels: the first of each group, then the second of each, and so on.

    Forward:   y[:, i * groups + g] = x[:, g * count + i] with count = channels / groups
    Backward:  d_x[:, g * count + i] = d_y[:, i * groups + g]
    Shapes:    x, y: (batch, channels, length, ...)
    Raises:    ShapeError for fewer than 3 axes, channels that groups does not divide, or if d_y has not the shape of
               y;  ArgumentError for groups below 1
    Source:    Zhang et al. 2018, "ShuffleNet: an extremely efficient convolutional neural network for mobile devices"

    Example:
        >>> ChannelShuffle(2)(torch.arange(4.0).reshape(1, 4, 1)).flatten()
        tensor([0., 2., 1., 3.])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"groups": 2},
        "inputs": [(2, 4, 3)],
        "tags": ("fixed_dimensions",),
    }

    def __init__(self, groups: int) -> None:
        require_whole(self, "groups", groups, 1)
        self.groups = groups

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[torch.Size, int]]:
        require_input(self, x)
        if x.dim() < 3 or x.shape[1] % self.groups:
            raise ShapeError(
                f"ChannelShuffle: x must be (batch, channels, length, ...) with channels that {self.groups} divides, "
                f"got {tuple(x.shape)}"
            )
        return _interleave(x, self.groups), (x.shape, self.groups)

    def backward(self, d_y: Tensor, saved: tuple[torch.Size, int]) -> Tensor | None:
        require_saved(self, saved, torch.Size, int)
        shape, groups = saved
        require_own(self, "groups", self.groups, groups)
        require_upstream(self, d_y, shape)
        return _interleave(d_y, shape[1] // groups) if self.input_grad else None

    tangent, backward_tangent = LINEAR


def _by_kernel(
    owner: Module, kernel: Callable[[Tensor, int], Tensor], x: Tensor, shape: Sequence[int], r: int
) -> Tensor:
    """What the kernel gives, of `shape`; of nothing, it makes a tensor of other axes. Raises DtypeError."""
    if not x.numel():
        require_room(owner, "y", shape, x, "lower its factor")
        return x.new_empty(shape)
    try:
        return kernel(x, r)
    except NotImplementedError as error:  # of numbers of 8 bits
        raise DtypeError(
            f"{type(owner).__name__}: x must have a dtype that torch shuffles, got {x.dtype}; convert with .float()"
        ) from error


def _interleave(x: Tensor, groups: int) -> Tensor:
    """The channels of groups, one of each in turn."""
    if not x.numel():
        return x
    batch, channels, *sizes = x.shape
    return x.reshape(batch, groups, channels // groups, *sizes).transpose(1, 2).reshape(x.shape)
