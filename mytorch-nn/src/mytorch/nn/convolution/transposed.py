"""Transposed convolutions of one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    SampleGradients,
    ShapeError,
    require_choice,
    require_flags,
    require_room,
    require_saved,
    require_upstream,
)
from mytorch.nn._spatial import MOST
from mytorch.nn.convolution._windowed import Windowed

aten = torch.ops.aten


class _TransposedConvolution(Windowed):
    """Spread each value over a window: the linear map whose matrix is that of a convolution, transposed.

    Forward:   y[b, o, stride * t + dilation * k - padding] gains weight[i, o, k] * x[b, i, t] for every i, t, k,
               and bias[o] once; what falls outside of y is dropped
    Backward:  d_x[b, i, t] = sum over o, k of weight[i, o, k] * d_y[b, o, stride * t + dilation * k - padding];
               d_weight[i, o, k] = sum over b, t of x[b, i, t] * d_y[b, o, stride * t + dilation * k - padding];
               d_bias[o] = sum of d_y[b, o, :] over b and every place
    Kernel:    aten.convolution_backward with transposed=True
    Shapes:    x: (batch, in_channels, ...) or without the batch, with one, two or three sizes by the class;
               y: the same with out_channels, each size (size - 1) * stride - 2 * padding
               + dilation * (kernel_size - 1) + output_padding + 1, or output_size where it is given;
               weight: (in_channels, out_channels / groups, ...);  bias: (out_channels,) or None
    Raises:    ShapeError for other axes or channels, an output without values, or an output_size out of reach;
               DtypeError for x of another dtype than weight; ArgumentError for arguments out of range, or for weights
               or a y that have no room in memory
    Initial:   weight and bias uniform within 1 / sqrt(out_channels / groups * values of the window), as torch does
    Source:    Zeiler et al. 2010, "Deconvolutional networks"

    Example:
        >>> layer = ConvTranspose2d(8, 3, kernel_size=2, stride=2)
        >>> layer(torch.randn(4, 8, 5, 5)).shape
        torch.Size([4, 3, 10, 10])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, bias=bias)
        self._set_channels(in_channels, out_channels, groups)
        require_choice(self, "padding_mode", padding_mode, ("zeros",))
        self.padding_mode = padding_mode
        self.kernel_size = self._per_axis("kernel_size", kernel_size, 1)
        self.stride, self.dilation = self._per_axis("stride", stride, 1), self._per_axis("dilation", dilation, 1)
        self.padding = self._per_axis("padding", padding, 0)
        self.output_padding = self._per_axis("output_padding", output_padding, 0)
        for extra, step, spread in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if extra >= max(step, spread):
                raise ArgumentError(
                    f"{self._name}: output_padding must be below stride or dilation, {max(step, spread)}, got {extra}"
                )
        for spread, window in zip(self.dilation, self.kernel_size, strict=True):
            if spread * (window - 1) >= MOST:
                raise ArgumentError(
                    f"{self._name}: dilation * (kernel_size - 1) must be below {MOST:,}, got {spread} * {window - 1}"
                )
        self._set_weights((in_channels, out_channels // groups, *self.kernel_size), bias, device, dtype)

    def forward(
        self, x: Tensor, *, output_size: Sequence[int] | None = None
    ) -> tuple[Tensor, tuple[Tensor, tuple[int, ...]]]:
        self._require_channels(x)
        extra = self.output_padding if output_size is None else self._extra_for(x, output_size)
        shape = self._output_shape(x, extra)  # refuses an output that would be empty
        require_room(self, "y", shape, x, "lower stride, dilation or kernel_size, or pass fewer rows")
        bias = None if self.bias is None else self.bias.value
        y = torch.convolution(self._with_batch(x), self.weight.value, bias, *self._geometry(extra))
        return self._without_batch(y, x), (x, extra)

    def backward(self, d_y: Tensor, saved: tuple[Tensor, tuple[int, ...]]) -> Tensor | None:
        require_saved(self, saved, Tensor, tuple)
        x, extra = saved
        require_upstream(self, d_y, self._output_shape(x, extra))
        self._require_own(x, d_y)
        wanted = [self.input_grad, *self._trained()]
        sizes = [self.out_channels]
        d_x, d_weight, d_bias = aten.convolution_backward(
            self._with_batch(d_y), self._with_batch(x), self.weight.value, sizes, *self._geometry(extra), wanted
        )
        self._accumulate(d_weight, d_bias)
        return self._without_batch(d_x, x) if self.input_grad else None

    def tangent(
        self, t_x: Tensor | None, saved: tuple[Tensor, tuple[int, ...]], along: Directions
    ) -> tuple[Tensor, Tensor | None]:
        x, extra = saved
        return self._tangent_of_kernel(t_x, x, along, self._geometry(extra)), t_x

    def backward_tangent(
        self,
        d_y: Tensor,
        t_d_y: Tensor,
        saved: tuple[Tensor, tuple[int, ...]],
        t_x: Tensor | None,
        along: Directions,
    ) -> tuple[Tensor | None, Tensor | None]:
        x, extra = saved
        return self._backward_tangent_of_kernel(d_y, t_d_y, x, t_x, along, self._geometry(extra))

    def sample_gradients(
        self,
        d_y: Tensor,
        saved: tuple[Tensor, tuple[int, ...]],
        axis: int,  # noqa: ARG002 - a batch stands in front
    ) -> dict[str, SampleGradients]:
        x, _ = saved
        windows = self._windows(d_y, self.padding).unflatten(2, self._places(d_y))
        seen = windows[(slice(None), slice(None), *map(slice, x.shape[2:]))]  # output_padding adds places
        return self._stated(d_y, self._products(self._rows(x), seen.flatten(2, -2), gradients_in_rows=True))

    def _places(self, d_y: Tensor) -> list[int]:
        """How many windows d_y has along each axis."""
        sizes = zip(d_y.shape[2:], self.padding, self.dilation, self.kernel_size, self.stride, strict=True)
        return [(size + 2 * cut - spread * (window - 1) - 1) // step + 1 for size, cut, spread, window, step in sizes]

    def _geometry(self, extra: tuple[int, ...]) -> tuple[Any, ...]:
        """The kernel's arguments after the bias: stride, padding, dilation, transposed, output padding, groups."""
        return self.stride, self.padding, self.dilation, True, extra, self.groups

    def _sizes(self, x: Tensor, extra: tuple[int, ...]) -> list[int]:
        geometry = zip(self.stride, self.padding, self.dilation, self.kernel_size, extra, strict=True)
        return [
            (size - 1) * step - 2 * cut + spread * (window - 1) + more + 1
            for size, (step, cut, spread, window, more) in zip(x.shape[-self.dimensions :], geometry, strict=True)
        ]

    def _output_shape(self, x: Tensor, extra: tuple[int, ...]) -> tuple[int, ...]:
        leading, sizes = x.shape[: x.dim() - self.dimensions - 1], self._sizes(x, extra)
        if min(*sizes, *x.shape[-self.dimensions :]) < 1:
            raise ShapeError(
                f"{self._name}: x must be large enough for an output that is not empty, got sizes {tuple(sizes)} of "
                f"{tuple(x.shape)}"
            )
        return (*leading, self.out_channels, *sizes)

    def _extra_for(self, x: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output padding that leads to `output_size`. Raises ShapeError if none does."""
        wanted = list(output_size)[-self.dimensions :]
        least = self._sizes(x, (0,) * self.dimensions)
        most = [low + step - 1 for low, step in zip(least, self.stride, strict=True)]
        if len(output_size) not in (self.dimensions, x.dim()) or any(
            not low <= size <= high for low, size, high in zip(least, wanted, most, strict=True)
        ):
            raise ShapeError(
                f"{self._name}: output_size must lie between {tuple(least)} and {tuple(most)}, got "
                f"{tuple(output_size)}"
            )
        return tuple(size - low for size, low in zip(wanted, least, strict=True))


class ConvTranspose1d(_TransposedConvolution):
    dimensions = 1


class ConvTranspose2d(_TransposedConvolution):
    dimensions = 2


class ConvTranspose3d(_TransposedConvolution):
    dimensions = 3
