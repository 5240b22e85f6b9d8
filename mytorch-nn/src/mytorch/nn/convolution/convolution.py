"""Convolutions of one, two and three dimensions."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import (
    ArgumentError,
    Detail,
    Directions,
    OuterProducts,
    SampleGradients,
    ShapeError,
    require_choice,
    require_flags,
    require_room,
    require_saved,
    require_upstream,
)
from mytorch.nn.convolution._window_products import WindowProducts
from mytorch.nn.convolution._windowed import Windowed
from mytorch.nn.convolution._worked_example import Sizes, worked_example
from mytorch.nn.padding._padding import pad, pad_backward, require_paddable

aten = torch.ops.aten
MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
"""torch's names of padding modes, as layers and as F.pad know them."""


class _Convolution(Windowed):
    """Slide a window over the last axes and map what it sees by one matrix.

    Forward:   y[b, o, t] = bias[o] + sum over i, k of weight[o, i, k] * x[b, i, stride * t + dilation * k - padding]
               where i runs over the input channels of the group of o; padding_mode says what stands outside of x
    Backward:  d_x[b, i, s] = sum of weight[o, i, k] * d_y[b, o, t] over every o, k, t whose window read x[b, i, s];
               d_weight[o, i, k] = sum over b, t of d_y[b, o, t] * x[b, i, stride * t + dilation * k - padding];
               d_bias[o] = sum over b, t of d_y[b, o, t]
    Kernel:    aten.convolution_backward; padding that it does not know is added before, with a backward of its own
    Shapes:    x: (batch, in_channels, ...) or without the batch, with one, two or three sizes by the class;
               y: the same with out_channels, each size (size + 2 * padding - dilation * (kernel_size - 1) - 1)
               // stride + 1;  weight: (out_channels, in_channels / groups, ...);  bias: (out_channels,) or None
    Raises:    ShapeError for other axes or channels, or a window larger than the padded x; DtypeError for x of another
               dtype than weight; ArgumentError for arguments out of range or that do not fit together, or for weights
               or a y that have no room in memory
    Initial:   weight and bias uniform within 1 / sqrt(inputs of one output), as torch draws them
    Source:    LeCun et al. 1989, "Backpropagation applied to handwritten zip code recognition"

    Example:
        >>> layer = Conv2d(3, 8, kernel_size=3, stride=2, padding=1)
        >>> layer(torch.randn(4, 3, 9, 9)).shape
        torch.Size([4, 8, 5, 5])
    """

    states_columns: ClassVar = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, bias=bias)
        self._set_channels(in_channels, out_channels, groups)
        require_choice(self, "padding_mode", padding_mode, tuple(MODES))
        self.kernel_size = self._per_axis("kernel_size", kernel_size, 1)
        self.stride, self.dilation = self._per_axis("stride", stride, 1), self._per_axis("dilation", dilation, 1)
        self.padding = padding if isinstance(padding, str) else self._per_axis("padding", padding, 0)
        self.padding_mode, self._mode = padding_mode, MODES[padding_mode]
        self._before, self._inside = self._pads()
        self._set_weights((out_channels, in_channels // groups, *self.kernel_size), bias, device, dtype)

    def _pads(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What is added before the kernel, the last axis first as for F.pad; and what the kernel adds to each axis."""
        sides = self._same() if isinstance(self.padding, str) else [(amount, amount) for amount in self.padding]
        if self.padding_mode == "zeros" and all(low == high for low, high in sides):
            return (), tuple(low for low, _ in sides)
        before = tuple(amount for side in reversed(sides) for amount in side)
        return (before if any(before) else ()), (0,) * self.dimensions

    def _same(self) -> list[tuple[int, int]]:
        """The amounts before and after each axis under which y has the sizes of x; none for "valid"."""
        require_choice(self, "padding", self.padding, ("valid", "same"))
        if self.padding == "valid":
            return [(0, 0)] * self.dimensions
        if any(step != 1 for step in self.stride):
            raise ArgumentError(f'{self._name}: stride must be 1 with padding="same", got {self.stride}')
        totals = [spread * (window - 1) for spread, window in zip(self.dilation, self.kernel_size, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, torch.Size]]:
        self._require_channels(x)
        shape = x.shape
        if self._before:
            require_paddable(self, x, self._before, self._mode)
            x = pad(x, self._before, self._mode)
        shape_of_y = self._output_shape(x)  # refuses a window that is too large
        require_room(self, "y", shape_of_y, x, "lower padding, or pass fewer rows")
        bias = None if self.bias is None else self.bias.value
        y = torch.convolution(self._with_batch(x), self.weight.value, bias, *self._geometry())
        return self._without_batch(y, x), (x, shape)

    def backward(self, d_y: Tensor, saved: tuple[Tensor, torch.Size]) -> Tensor | None:
        require_saved(self, saved, Tensor, torch.Size)
        x, shape = saved
        require_upstream(self, d_y, self._output_shape(x))
        self._require_own(x, d_y)
        wanted = [self.input_grad, *self._trained()]
        sizes = [self.out_channels]
        d_x, d_weight, d_bias = aten.convolution_backward(
            self._with_batch(d_y), self._with_batch(x), self.weight.value, sizes, *self._geometry(), wanted
        )
        self._accumulate(d_weight, d_bias)
        if not self.input_grad:
            return None
        d_x = self._without_batch(d_x, x)
        return pad_backward(d_x, shape, self._before, self._mode) if self._before else d_x

    def tangent(
        self, t_x: Tensor | None, saved: tuple[Tensor, torch.Size], along: Directions
    ) -> tuple[Tensor, Tensor | None]:
        if t_x is not None and self._before:
            t_x = pad(t_x, self._before, self._mode)
        return self._tangent_of_kernel(t_x, saved[0], along, self._geometry()), t_x

    def backward_tangent(
        self,
        d_y: Tensor,
        t_d_y: Tensor,
        saved: tuple[Tensor, torch.Size],
        t_x: Tensor | None,
        along: Directions,
    ) -> tuple[Tensor | None, Tensor | None]:
        x, shape = saved
        d_x, t_d_x = self._backward_tangent_of_kernel(d_y, t_d_y, x, t_x, along, self._geometry())
        if d_x is None or t_d_x is None or not self._before:
            return d_x, t_d_x
        before, mode = self._before, self._mode
        return pad_backward(d_x, shape, before, mode), pad_backward(t_d_x, shape, before, mode)

    def sample_gradients(
        self,
        d_y: Tensor,
        saved: tuple[Tensor, torch.Size],
        axis: int,  # noqa: ARG002 - a batch stands in front
    ) -> dict[str, SampleGradients]:
        x = saved[0]

        def products() -> OuterProducts:
            return self._products(self._rows(d_y), self._windows(x, self._inside))

        shape, places = tuple(self.weight.value.shape), d_y.shape[2:].numel()
        numbers = shape[0], math.prod(shape[1:])
        few = places * sum(numbers) < math.prod(numbers)  # then norms need no gradients
        if self.dimensions != 2 or self.groups > 1 or few or len(d_y) != len(x):
            return self._stated(d_y, products())
        padded = F.pad(x, [amount for amount in reversed(self._inside) for _ in range(2)])
        windows = WindowProducts(d_y, padded, shape, self.stride, self.dilation, functools.cache(products))
        return self._stated(d_y, windows)

    def forward_details(
        self,
        inputs: Mapping[str, Any],  # noqa: ARG002 - x is saved with what was added to it
        output: Tensor,
        saved: tuple[Tensor, torch.Size],
    ) -> Iterable[Detail]:
        if not output.numel():
            return
        x, y = self._with_batch(saved[0])[0], self._with_batch(output)[0]
        x = F.pad(x, [side for side in reversed(self._inside) for _ in range(2)])
        bias, sizes = None if self.bias is None else self.bias.value, Sizes(self.stride, self.dilation, self.groups)
        row = (0,) if output.dim() == self.dimensions + 2 else ()
        yield Detail("one number of y", text=worked_example(x, self.weight.value, bias, y, sizes, row))

    def _geometry(self) -> tuple[Any, ...]:
        """The kernel's arguments after the bias: stride, padding, dilation, transposed, output padding, groups."""
        return self.stride, self._inside, self.dilation, False, (0,) * self.dimensions, self.groups

    def _output_shape(self, x: Tensor) -> tuple[int, ...]:
        """The shape of y for an x to which all that the kernel does not pad is added. Raises ShapeError."""
        given = x.shape[-self.dimensions :]
        axes = zip(given, self._inside, self.dilation, self.kernel_size, self.stride, strict=True)
        sizes = [(size + 2 * pad - spread * (window - 1) - 1) // step + 1 for size, pad, spread, window, step in axes]
        if min(sizes) < 1:
            self._refuse_window(x)
        return (*x.shape[: -self.dimensions - 1], self.out_channels, *sizes)

    def _refuse_window(self, x: Tensor) -> None:
        """Raise ShapeError for the first axis that is too short."""
        for axis, size in enumerate(x.shape[-self.dimensions :]):
            span, padded = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1, size + 2 * self._inside[axis]
            if padded < span:
                raise ShapeError(
                    f"{self._name}: the window must not be larger than the padded x, got a span of {span} for "
                    f"{padded} values along axis {axis - self.dimensions} of {tuple(x.shape)}"
                )


class Conv1d(_Convolution):
    dimensions = 1


class Conv2d(_Convolution):
    dimensions = 2


class Conv3d(_Convolution):
    dimensions = 3
