"""Batch normalisation."""

from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from torch.nn import init

from mytorch.core import (
    Buffer,
    Module,
    Parameter,
    ShapeError,
    require_dimensions,
    require_dtype,
    require_floating,
    require_floating_dtype,
    require_range,
    require_saved,
    require_upstream,
    require_whole,
)

_native_batch_norm_backward = torch.ops.aten.native_batch_norm_backward.default

Saved = tuple[Tensor, Tensor, Tensor, bool] | torch.Size


class BatchNorm1d(Module):
    """Give each channel mean 0 and variance 1, then a learned scale and shift.

    Forward:   n = (x - mean) * r with r = 1 / sqrt(variance + eps);  y = weight * n + bias
               training, or without running statistics: mean and variance (divided by the count) of this batch;
               evaluation: the running ones
    Backward:  d_weight = sum(d_y * n);  d_bias = sum(d_y);  d_n = weight * d_y
               batch statistics: d_x = r * (d_n - average(d_n) - n * average(d_n * n));  else d_x = r * d_n
    Buffers:   running = (1 - momentum) * running + momentum * batch, the variance divided by count - 1;
               momentum=None averages over every batch so far, which num_batches_tracked counts
    Shapes:    x, y: (batch, num_features) or (batch, num_features, length);  the others: (num_features,)
    Raises:    ShapeError for another shape, for a single value per channel where the batch's statistics are used, or
               if d_y has not the shape of y;  DtypeError if x or d_y has another dtype than weight;
               ArgumentError for num_features or eps below 0, momentum outside 0 to 1, or a dtype that is not
               floating point
    Source:    Ioffe and Szegedy 2015, "Batch normalization"

    Example:
        >>> BatchNorm1d(1)(torch.tensor([[1.0], [3.0]]))
        tensor([[-1.0000],
                [ 1.0000]])
    """

    conformance: ClassVar[dict[str, Any]] = {"tags": ("mixes_batch", "fixed_dimensions")}

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_whole(self, "num_features", num_features)
        require_range(self, "eps", eps, 0)
        if momentum is not None:
            require_range(self, "momentum", momentum, 0, 1)
        require_floating_dtype(self, dtype)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats

        def vector(fill: float) -> Tensor:
            return torch.full((num_features,), fill, device=device, dtype=dtype or torch.get_default_dtype())

        self.weight = Parameter(vector(1)) if affine else None
        self.bias = Parameter(vector(0)) if affine else None
        self.running_mean = Buffer(vector(0)) if track_running_stats else None
        self.running_var = Buffer(vector(1)) if track_running_stats else None
        count = torch.zeros((), dtype=torch.int64, device=device)
        self.num_batches_tracked = Buffer(count) if track_running_stats else None

    def reset_parameters(self) -> None:
        """Set scale and shift to 1 and 0, and forget the running statistics."""
        for held, fill in (
            (self.weight, 1),
            (self.bias, 0),
            (self.running_mean, 0),
            (self.running_var, 1),
            (self.num_batches_tracked, 0),
        ):
            if held is not None:
                init.constant_(held.value, fill)

    def forward(self, x: Tensor) -> tuple[Tensor, Saved]:
        self._require_channels(x)
        of_batch = self.training or self.running_mean is None
        if of_batch and x.numel() == self.num_features:
            raise ShapeError(
                "BatchNorm1d: x must have more than one value per channel in training mode, "
                f"got {tuple(x.shape)}; use a larger batch, drop_last for an epoch's last batch, or eval()"
            )
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.value.add_(1)
        if x.numel() == 0:
            return torch.empty_like(x), x.shape
        weight, bias = self._scale_and_shift()
        if not self.training and self.running_mean is not None and self.running_var is not None:
            # Copies: a training batch may change the running statistics before this forward's backward.
            mean, variance = self.running_mean.value.clone(), self.running_var.value.clone()
            y, _, _ = torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, self.eps)
            return y, (x, mean, variance, False)
        y, mean, r = torch.native_batch_norm(x, weight, bias, *self._track(x), self.eps)
        return y, (x, mean, r, True)

    def backward(self, d_y: Tensor, saved: Saved) -> Tensor | None:
        if isinstance(saved, torch.Size):
            return self._backward_of_nothing(d_y, saved)
        require_saved(self, saved, Tensor, Tensor, Tensor, bool)
        x, mean, spread, of_batch = saved
        require_upstream(self, d_y, x.shape)  # the kernel reads beyond a shorter one
        require_dtype(self, d_y, x.dtype, "d_y")
        weight, _ = self._scale_and_shift()
        wanted = [self.input_grad, self.affine, self.affine]
        d_x, d_weight, d_bias = _native_batch_norm_backward(
            d_y, x, weight, mean, spread, mean, spread, of_batch, self.eps, wanted
        )
        if self.weight is not None and self.bias is not None:
            self.weight.accumulate(d_weight)
            self.bias.accumulate(d_bias)
        return d_x if self.input_grad else None

    def _require_channels(self, x: Tensor) -> None:
        require_dimensions(self, x, 2, 3)
        if x.shape[1] != self.num_features:
            raise ShapeError(
                f"BatchNorm1d: x must have {self.num_features} channels, got {x.shape[1]} in {tuple(x.shape)}"
            )
        held = self.weight or self.running_mean
        if held is None:
            require_floating(self, x)
        else:
            require_dtype(self, x, held.value.dtype)

    def _backward_of_nothing(self, d_y: Tensor, shape: torch.Size) -> Tensor | None:
        """For an empty batch, which the kernel does not survive."""
        require_upstream(self, d_y, shape)
        for parameter in (self.weight, self.bias):
            if parameter is not None:
                parameter.accumulate(torch.zeros_like(parameter.value))
        return d_y if self.input_grad else None

    def _scale_and_shift(self) -> tuple[Tensor | None, Tensor | None]:
        return (
            None if self.weight is None else self.weight.value,
            None if self.bias is None else self.bias.value,
        )

    def _track(self, x: Tensor) -> tuple[Tensor | None, Tensor | None, bool, float]:
        """What the kernel is to update: running mean and variance, by the batch's, with which momentum."""
        nothing = None, None, True, 0.0
        if not self.training or self.running_mean is None or self.running_var is None:
            return nothing
        mean, variance = self.running_mean.value, self.running_var.value
        if self.momentum is not None:
            return mean, variance, True, self.momentum
        count = cast(Buffer, self.num_batches_tracked).value
        factor, batch = count.to(mean.dtype).reciprocal(), x.detach().transpose(0, 1).flatten(1)
        mean.lerp_(batch.mean(1), factor)
        variance.lerp_(batch.var(1), factor)
        return nothing
