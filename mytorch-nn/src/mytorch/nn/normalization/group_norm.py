"""Normalisation of groups of channels."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    SampleGradients,
    ShapeError,
    require_flags,
    require_input,
    require_range,
    require_saved,
    require_whole,
)
from mytorch.nn._own import require_own
from mytorch.nn.normalization._affine import Affine
from mytorch.nn.normalization._tangents import Normalized, affine_backward_tangent, affine_tangent

aten = torch.ops.aten

Saved = tuple[Tensor, Tensor, Tensor]


class GroupNorm(Affine):
    """Give each group of channels of each row mean 0 and variance 1, then each channel a learned scale and shift.

    Forward:   n = (x - mean) * r with r = 1 / sqrt(variance + eps), both over the channels of a group and the axes
               after them, the variance divided by the count;  y = weight * n + bias
    Backward:  d_weight = sum(d_y * n) and d_bias = sum(d_y), over every axis but the channels;  d_n = weight * d_y
               d_x = r * (d_n - average(d_n) - n * average(d_n * n)), over each group
    Kernel:    aten.native_group_norm_backward
    Shapes:    x, y: (batch, num_channels, ...);  weight, bias: (num_channels,)
    Raises:    ShapeError for another shape, for a batch of one with a single value per group, or if d_y has not the
               shape of y;  DtypeError if x or d_y has another dtype than weight;  ArgumentError unless num_groups
               divides num_channels, for eps below 0, or a dtype that is not floating point, or for weights that have
               no room in memory
    Source:    Wu and He 2018, "Group normalization"

    Example:
        >>> GroupNorm(1, 2)(torch.tensor([[1.0, 3.0]]))
        tensor([[-1.0000,  1.0000]])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"num_groups": 2, "num_channels": 4},
        "inputs": [(2, 4, 3)],
        "tags": ("fixed_dimensions",),
    }

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        require_flags(self, affine=affine, bias=bias)
        require_whole(self, "num_groups", num_groups, 1)
        require_whole(self, "num_channels", num_channels, 1)
        require_range(self, "eps", eps, 0)
        if num_channels % num_groups:
            raise ArgumentError(f"GroupNorm: num_groups must divide num_channels, {num_channels}, got {num_groups}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._set_affine((num_channels,), affine, affine and bias, device, dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, Saved]:
        self._require_channels(x)
        x = _dense(x, x)
        if x.numel() == 0:
            nothing = x.new_empty(0)
            return torch.empty_like(x), (x, nothing, nothing)
        weight, bias = self._dense_scale_and_shift()
        y, mean, r = torch.native_group_norm(x, weight, bias, *self._sizes(x), self.num_groups, self.eps)
        return y, (x, mean, r)

    def backward(self, d_y: Tensor, saved: Saved) -> Tensor | None:
        require_saved(self, saved, Tensor, Tensor, Tensor)
        x, mean, r = saved
        require_own(self, "num_channels", self.num_channels, x.shape[1])
        self._require_upstream(d_y, x.shape, x)
        if x.numel() == 0:
            return self._backward_of_nothing(d_y)
        require_own(self, "num_groups", self.num_groups, mean.shape[-1])
        weight, _ = self._dense_scale_and_shift()
        d_x, d_weight, d_bias = aten.native_group_norm_backward(
            _dense(d_y, x), x, mean, r, weight, *self._sizes(x), self.num_groups, self._wanted()
        )
        self._accumulate(d_weight, d_bias)
        return d_x if self.input_grad else None

    def tangent(self, t_x: Tensor | None, saved: Saved, along: Directions) -> tuple[Tensor | None, Normalized | None]:
        x, mean, r = saved
        if x.numel() == 0:
            return t_x, None

        def of_groups(values: Tensor) -> Tensor:
            return values.reshape(len(x), -1, 1).expand(-1, -1, x[0].numel() // self.num_groups).reshape(x.shape)

        def average(values: Tensor) -> Tensor:
            return of_groups(values.reshape(len(x), self.num_groups, -1).mean(2))

        shape = (1, self.num_channels, *(1,) * (x.dim() - 2))
        moved = Normalized.of(x, t_x, of_groups(mean), of_groups(r), average, shape)
        return affine_tangent(self, moved, along), moved

    backward_tangent = affine_backward_tangent

    def sample_gradients(self, d_y: Tensor, saved: Saved, axis: int) -> dict[str, SampleGradients]:
        x, mean, r = saved
        groups = x.reshape(len(x), self.num_groups, -1)
        n = (groups - mean.reshape(len(x), -1, 1)) * r.reshape(len(x), -1, 1)
        return self._each_sample(d_y, n.reshape(x.shape), axis, 1)

    def _require_channels(self, x: Tensor) -> None:
        require_input(self, x)
        if x.dim() < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(f"GroupNorm: x must be (batch, {self.num_channels} channels, ...), got {tuple(x.shape)}")
        if x.numel() == self.num_groups:
            raise ShapeError(
                "GroupNorm: x must have more than one value per group, "
                f"got {tuple(x.shape)} for {self.num_groups} groups; use fewer groups"
            )
        self._require_dtype(x)

    def _sizes(self, x: Tensor) -> tuple[int, int, int]:
        batch, channels = x.shape[:2]
        return batch, channels, x.numel() // (batch * channels)


def _dense(x: Tensor, like: Tensor) -> Tensor:
    """x without gaps, its axes in memory in the order that `like` suggests: the kernels ask for that."""
    channels_last = like.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
