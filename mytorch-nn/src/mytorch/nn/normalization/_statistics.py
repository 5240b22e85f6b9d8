"""What batch and instance normalisation share: a scale and shift for each channel, and running statistics."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import init

from mytorch.core import (
    ArgumentError,
    Buffer,
    ShapeError,
    empty,
    require_floating,
    require_input,
    require_like,
    require_range,
    require_whole,
)
from mytorch.nn._spatial import Spatial
from mytorch.nn.normalization._affine import Affine

aten = torch.ops.aten

Known = tuple[Tensor, Tensor, Tensor]


class OfChannels(Affine, Spatial):
    """A normalisation of each channel, by statistics of x in training, and by running ones in evaluation."""

    running_mean: Buffer | None
    running_var: Buffer | None
    num_batches_tracked: Buffer | None

    def _set_channels(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        require_whole(self, "num_features", num_features)
        require_range(self, "eps", eps, 0)
        if momentum is not None:
            require_range(self, "momentum", momentum, 0, 1)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._set_affine((num_features,), affine, affine and bias, device, dtype)
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            self.running_mean = Buffer(empty(self, "running_mean", (num_features,), device, dtype).zero_())
            self.running_var = Buffer(empty(self, "running_var", (num_features,), device, dtype).fill_(1))
            self.num_batches_tracked = Buffer(torch.zeros((), dtype=torch.int64, device=device))

    def reset_parameters(self) -> None:
        """Set scale and shift to 1 and 0, and forget the running statistics."""
        super().reset_parameters()
        for buffer, fill in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if buffer is not None:
                init.constant_(buffer.value, fill)

    def _require_channels(self, x: Tensor, axis: int, *axes: int) -> None:
        """Raise ShapeError unless x has one of the numbers of axes, and the channels along the axis; DtypeError."""
        require_input(self, x)
        if x.dim() not in axes:
            rule = " or ".join(map(str, axes))
            raise ShapeError(f"{self._name}: x must have {rule} axes, got {x.dim()} in {tuple(x.shape)}")
        if x.shape[axis] != self.num_features:
            raise ShapeError(
                f"{self._name}: x must have {self.num_features} channels, got {x.shape[axis]} in {tuple(x.shape)}"
            )
        held = self.weight or self.running_mean
        if held is None:
            require_floating(self, x)
        else:
            require_like(self, x, held.value)

    def _by_running(self, x: Tensor) -> tuple[Tensor, Known]:
        """y by the running statistics, and copies of them: training may change them before this forward's backward."""
        mean, variance = (cast(Buffer, held).value.clone() for held in (self.running_mean, self.running_var))
        y, _, _ = torch.native_batch_norm(x, *self._scale_and_shift(), mean, variance, False, 0.0, self.eps)
        return y, (x, mean, variance)

    def _require_own(self, channels: int) -> None:
        """Raise ArgumentError for a saved value of other channels: the kernel reads beyond what is too short."""
        if channels != self.num_features:
            raise ArgumentError(
                f"{self._name}: saved must be that of a layer with {self.num_features} channels, got one of {channels}"
                "; give each backward the saved value of its own forward"
            )

    def _gradients(self, d_y: Tensor, weight: Tensor | None, known: Known, of_batch: bool) -> Any:
        """Of x, scale and shift; `known`: x with its mean and 1 / sqrt(variance + eps), or with the running ones."""
        x, mean, spread = known
        if d_y.stride() != x.stride():  # the kernel would take one of them for channels-last that is not
            d_y, x = d_y.contiguous(), x.contiguous()
        weight = None if weight is None else weight.contiguous()  # the kernel takes no notice of its strides
        known_for = (None, None, mean, spread) if of_batch else (mean, spread, None, None)
        return aten.native_batch_norm_backward(d_y, x, weight, *known_for, of_batch, self.eps, self._wanted())
