"""What convolutions and transposed convolutions share: channels, weights and sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn import init

from mytorch.core import (
    ArgumentError,
    Directions,
    EachSample,
    OuterProducts,
    Parameter,
    SampleGradients,
    ShapeError,
    empty,
    require_device,
    require_floating_dtype,
    require_input,
    require_like,
    require_whole,
)
from mytorch.nn._spatial import Spatial


class Windowed(Spatial):
    """The base of layers that slide a window of weights over the last `dimensions` axes."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    weight: Parameter
    bias: Parameter | None

    def _set_channels(self, in_channels: int, out_channels: int, groups: int) -> None:
        """Keep the channels. Raises ArgumentError unless they are whole numbers that the groups divide."""
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            require_whole(self, name, value, 1)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{self._name}: groups must divide in_channels and out_channels, got {groups} for {in_channels} and "
                f"{out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups

    def _set_weights(
        self, shape: Sequence[int], bias: bool, device: torch.device | str | None, dtype: torch.dtype | None
    ) -> None:
        require_device(self, device)
        require_floating_dtype(self, dtype)
        self.weight = Parameter(empty(self, "weight", shape, device, dtype))
        self.bias = Parameter(empty(self, "bias", (self.out_channels,), device, dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights from torch's generator, or from the one given."""
        init.kaiming_uniform_(self.weight.value, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            bound = 1 / math.sqrt(self.weight.value[0].numel())
            init.uniform_(self.bias.value, -bound, bound, generator=generator)

    def _require_channels(self, x: Tensor) -> None:
        """Raise ShapeError unless x is (channels, ...) or (batch, channels, ...); DtypeError for another dtype."""
        require_input(self, x)
        axes = self.dimensions
        if x.dim() not in (axes + 1, axes + 2) or x.shape[-axes - 1] != self.in_channels:
            raise ShapeError(
                f"{self._name}: x must have {self.in_channels} channels and {axes} "
                f"size{'s' * (axes > 1)} after them, with or without a batch in front, got {tuple(x.shape)}"
            )
        require_like(self, x, self.weight.value, "x")

    def _require_own(self, x: Tensor, d_y: Tensor) -> None:
        """Raise ArgumentError for a saved x of other channels, DtypeError for a d_y of another dtype than weight."""
        if x.shape[-self.dimensions - 1] != self.in_channels:
            raise ArgumentError(
                f"{self._name}: saved must be that of a layer with {self.in_channels} input channels, got one of x as "
                f"{tuple(x.shape)}; give each backward the saved value of its own forward"
            )
        require_like(self, d_y, self.weight.value, "d_y")

    def _with_batch(self, x: Tensor) -> Tensor:
        """x with a batch of one in front if it has no batch."""
        return x if x.dim() == self.dimensions + 2 else x.unsqueeze(0)

    def _without_batch(self, y: Tensor, x: Tensor) -> Tensor:
        """y without a batch in front if x has no batch."""
        return y if x.dim() == self.dimensions + 2 else y.squeeze(0)

    def _stated(self, d_y: Tensor, weight: SampleGradients) -> dict[str, SampleGradients]:
        """The gradients of single samples."""
        stated = {"weight": weight}
        return stated if self.bias is None else {**stated, "bias": EachSample(d_y.flatten(2).sum(2))}

    def _products(self, d_rows: Tensor, rows: Tensor, gradients_in_rows: bool = False) -> OuterProducts:
        """Those of the weight, from rows of each group, (batch, groups, places, numbers)."""
        if self.groups == 1:
            d_rows, rows = d_rows.squeeze(1), rows.squeeze(1)
        return OuterProducts(d_rows, rows, tuple(self.weight.value.shape), gradients_in_rows=gradients_in_rows)

    def _rows(self, x: Tensor) -> Tensor:
        """The channels at each place, by group: (batch, groups, places, channels of a group)."""
        return x.reshape(len(x), self.groups, x.shape[1] // self.groups, x.shape[2:].numel()).mT

    def _windows(self, x: Tensor, pads: Sequence[int]) -> Tensor:
        """What each window of x sees, by group: (batch, groups, places, channels of a group * values of a window)."""
        axes, batch = self.dimensions, len(x)
        x = F.pad(x, [amount for amount in reversed(pads) for _ in range(2)])
        for axis, (window, step, spread) in enumerate(zip(self.kernel_size, self.stride, self.dilation, strict=True)):
            x = x.unfold(axis + 2, spread * (window - 1) + 1, step)[..., ::spread]
        x = x.reshape(batch, self.groups, x.shape[1] // self.groups, *x.shape[2:])
        places, window_axes = range(3, 3 + axes), range(3 + axes, 3 + 2 * axes)
        seen = x.permute(0, 1, 2, *window_axes, *places)  # places last: so the copy reads along rows of x
        return seen.flatten(2, 2 + axes).flatten(3).mT

    def _tangent_of_kernel(
        self, t_x: Tensor | None, x: Tensor, along: Directions, geometry: tuple[Any, ...]
    ) -> Tensor:
        """The change of y, by the product rule."""
        t_y = torch.convolution(self._with_batch(x), along[self.weight], along[self.bias], *geometry)
        if t_x is not None:
            t_y = t_y + torch.convolution(self._with_batch(t_x), self.weight.value, None, *geometry)
        return self._without_batch(t_y, x)

    def _backward_tangent_of_kernel(
        self, d_y: Tensor, t_d_y: Tensor, x: Tensor, t_x: Tensor | None, along: Directions, geometry: tuple[Any, ...]
    ) -> tuple[Tensor | None, Tensor | None]:
        """The gradient of x and its change, by the product rule; adds the changes of the parameters' gradients."""

        def of(d: Tensor, weight: Tensor, with_x: Tensor | None, bias: bool) -> list[Tensor | None]:
            wanted = [self.input_grad, with_x is not None and self.weight.trainable, bias]
            given = [self._with_batch(value) for value in (d, x if with_x is None else with_x)]
            found: list[Tensor | None] = list(
                torch.ops.aten.convolution_backward(*given, weight, [self.out_channels], *geometry, wanted)
            )
            return found

        weight = self.weight.value
        t_d_x, t_d_weight, t_d_bias = of(t_d_y, weight, x, self._trained()[1])
        d_x, more, _ = of(d_y, weight, t_x, bias=False)
        self._accumulate(t_d_weight if more is None or t_d_weight is None else t_d_weight + more, t_d_bias)
        if not self.input_grad:
            return None, None
        through_weight, *_ = of(d_y, along[self.weight], None, bias=False)
        if d_x is None or t_d_x is None or through_weight is None:  # which were asked for
            return d_x, t_d_x
        return self._without_batch(d_x, x), self._without_batch(t_d_x + through_weight, x)

    def _trained(self) -> tuple[bool, bool]:
        """Whether gradients of the weight and of the bias are computed."""
        return self.weight.trainable, self.bias is not None and self.bias.trainable

    def _accumulate(self, d_weight: Tensor | None, d_bias: Tensor | None) -> None:
        if d_weight is not None:
            self.weight.accumulate(d_weight)
        if self.bias is not None and d_bias is not None:
            self.bias.accumulate(d_bias)
