"""Normalisation across neighbouring channels."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    Directions,
    Module,
    ShapeError,
    require_floating,
    require_like,
    require_range,
    require_saved,
    require_upstream,
    require_whole,
)
from mytorch.nn._tangents import backward_of_both


class _AcrossChannels(Module):
    """A layer that divides by a power of the mean square of `size` channels, the channel itself among them."""

    pieces: ClassVar[int] = 1
    """In how many pieces the gradient is computed: of many, what lies between takes little memory."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        require_whole(self, "size", size, 1)
        for name, value in (("alpha", alpha), ("beta", beta), ("k", k)):
            require_range(self, name, value)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        require_floating(self, x)
        self._require_shape(x)
        if x.numel() == 0:
            return x, (x, x)
        before, after = self._window()
        base = self._average(x * x, before, after).mul_(self.alpha).add_(self.k)
        return _power(base, self.beta).mul_(x), (x, base)

    def backward(self, d_y: Tensor, saved: tuple[Tensor, Tensor]) -> Tensor | None:
        require_saved(self, saved, Tensor, Tensor)
        x, base = saved
        require_upstream(self, d_y, x.shape)
        require_like(self, d_y, x, "d_y", "output")
        if not self.input_grad or x.numel() == 0:
            return d_y if self.input_grad else None
        d_x = torch.empty_like(x, memory_format=torch.contiguous_format)
        pixels = 1 + x[0, 0].numel() // self.pieces
        for given in zip(*(each.flatten(2).split(pixels, 2) for each in (d_x, d_y, x, base)), strict=True):
            self._write_d_x(*given)
        return d_x

    def tangent(
        self,
        t_x: Tensor | None,
        saved: tuple[Tensor, Tensor],
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor | None, tuple[Tensor, Tensor] | None]:
        x, base = saved
        if t_x is None or x.numel() == 0:
            return t_x, None
        t_base = self._average(x * t_x, *self._window()).mul_(2 * self.alpha)
        return base.pow(-self.beta) * (t_x - self.beta * x * t_base / base), (t_x, t_base)

    def backward_tangent(
        self,
        d_y: Tensor,
        t_d_y: Tensor,
        saved: tuple[Tensor, Tensor],
        t_saved: tuple[Tensor, Tensor] | None,
        along: Directions,
    ) -> tuple[Tensor | None, Tensor | None]:
        """With g = d_y * b ** -beta: d_x = g - 2 * alpha * beta * x * average(g * x / b), each by the product rule."""
        d_x, t_d_x = backward_of_both(self, d_y, t_d_y, saved, t_saved, along)
        if t_saved is None or t_d_x is None:
            return d_x, t_d_x
        (x, base), (t_x, t_base) = saved, t_saved
        before, after = self._window()
        g = d_y * base.pow(-self.beta)
        t_g = -self.beta * g * t_base / base
        around = self._average(g * x / base, after, before)
        t_around = self._average((t_g * x + g * t_x - g * x * t_base / base) / base, after, before)
        return d_x, t_d_x + t_g - 2 * self.alpha * self.beta * (t_x * around + x * t_around)

    def _write_d_x(self, d_x: Tensor, d_y: Tensor, x: Tensor, base: Tensor) -> None:
        """Of some pixels, with all their channels."""
        before, after = self._window()
        direct = d_x.copy_(d_y).mul_(_power(base, self.beta))
        around = self._average((direct * x).div_(base), after, before)
        direct.addcmul_(x, around, value=-2 * self.alpha * self.beta)

    def _require_shape(self, x: Tensor) -> None:
        """Raise ShapeError for what the layer does not take."""
        raise NotImplementedError

    def _window(self) -> tuple[int, int]:
        """How many channels before and after each are counted."""
        raise NotImplementedError

    def _average(self, values: Tensor, before: int, after: int) -> Tensor:
        """The sum over the channels from so many before to so many after each, divided by size."""
        channels, total = values.shape[1], values.clone()
        for step in range(1, min(before, channels - 1) + 1):
            total[:, step:].add_(values[:, :-step])
        for step in range(1, min(after, channels - 1) + 1):
            total[:, :-step].add_(values[:, step:])
        return total.div_(self.size)


def _power(base: Tensor, beta: float) -> Tensor:
    """base ** -beta; for the usual 0.75 by roots, which take a fifth of the time."""
    return base.rsqrt().sqrt().pow(3) if beta == 0.75 else base.pow(-beta)


class LocalResponseNorm(_AcrossChannels):
    """Divide each number by a power of the mean square of the channels around it.

    Forward:   b = k + alpha * average(x * x) over the `size` channels from size // 2 before to (size - 1) // 2 after,
               channels that are not there counting as zeros;  y = x / b ** beta
    Backward:  d_x = d_y * b ** -beta - 2 * alpha * beta * x * average(d_y * x * b ** (-beta - 1)), the average over
               the channels whose window holds this one: from (size - 1) // 2 before to size // 2 after
    Shapes:    x, y: (batch, channels, length, ...)
    Raises:    ShapeError for fewer than 3 axes, or if d_y has not the shape of y;  DtypeError for whole numbers, or if
               d_y has not the dtype of x;  ArgumentError for size below 1, or what is not a number
    Source:    Krizhevsky, Sutskever and Hinton 2012, "ImageNet classification with deep convolutional neural networks"

    Example:
        >>> LocalResponseNorm(1, alpha=1.0, beta=1.0)(torch.tensor([[[1.0, 3.0]]]))
        tensor([[[0.5000, 0.3000]]])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"size": 2, "alpha": 0.5},
        "inputs": [(2, 4, 3)],
        "tags": ("fixed_dimensions",),
    }

    def _require_shape(self, x: Tensor) -> None:
        if x.dim() < 3:
            raise ShapeError(f"LocalResponseNorm: x must be (batch, channels, length, ...), got {tuple(x.shape)}")

    def _window(self) -> tuple[int, int]:
        return self.size // 2, (self.size - 1) // 2


class CrossMapLRN2d(_AcrossChannels):
    """Divide each pixel by a power of the mean square of the channels around it, as many before as after.

    Forward:   b = k + alpha / size * sum(x * x) over the channels from (size - 1) // 2 before to (size - 1) // 2
               after, those that are there;  y = x / b ** beta; so with an odd size this is LocalResponseNorm
    Backward:  d_x = d_y * b ** -beta - 2 * alpha * beta / size * x * sum(d_y * x * b ** (-beta - 1)) over the same
               channels
    Differs:   torch's CrossMapLRN2d never takes the first channel out of its running sum, and its gradient sums over
               channels one place off: it agrees with this formula only where the windows hold all channels
    Shapes:    x, y: (batch, channels, height, width)
    Raises:    ShapeError for other axes, or if d_y has not the shape of y;  DtypeError for whole numbers, or if d_y
               has not the dtype of x;  ArgumentError for size below 1, or what is not a number
    Source:    Krizhevsky, Sutskever and Hinton 2012, "ImageNet classification with deep convolutional neural networks"

    Example:
        >>> CrossMapLRN2d(1, alpha=1.0, beta=1.0)(torch.tensor([[[[1.0, 3.0]]]]))
        tensor([[[[0.5000, 0.3000]]]])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"size": 3, "alpha": 0.5},
        "inputs": [(2, 4, 3, 2)],
        "tags": ("fixed_dimensions",),
    }
    pieces = 32

    def _require_shape(self, x: Tensor) -> None:
        if x.dim() != 4:
            raise ShapeError(f"CrossMapLRN2d: x must be (batch, channels, height, width), got {tuple(x.shape)}")

    def _window(self) -> tuple[int, int]:
        return (self.size - 1) // 2, (self.size - 1) // 2
