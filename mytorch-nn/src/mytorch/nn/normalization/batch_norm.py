"""Batch normalisation."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Buffer,
    Directions,
    SampleGradients,
    ShapeError,
    require_flags,
    require_saved,
    require_upstream,
)
from mytorch.core.compiling import is_compiling
from mytorch.nn.normalization._statistics import Known, OfChannels
from mytorch.nn.normalization._tangents import Average, Normalized, affine_backward_tangent, affine_tangent

Saved = tuple[Tensor, Tensor, Tensor, bool] | torch.Size

MANY, MANY_PER_CHANNEL = 2**16, 64
"""Numbers of x, and of each channel in a row, from which on sums of their own are faster than the kernel's."""
SUMMED = (torch.float32, torch.float64)
"""Dtypes in which these sums are exact enough; for half precision, the kernel takes a wider one."""


class _BatchNorm(OfChannels):
    """Give each channel mean 0 and variance 1, then a learned scale and shift.

    Forward:   n = (x - mean) * r with r = 1 / sqrt(variance + eps);  y = weight * n + bias
               training, or without running statistics: mean and variance (divided by the count) of this batch;
               evaluation: the running ones
    Backward:  d_weight = sum(d_y * n);  d_bias = sum(d_y);  d_n = weight * d_y
               batch statistics: d_x = r * (d_n - average(d_n) - n * average(d_n * n));  else d_x = r * d_n
    Kernel:    aten.native_batch_norm_backward
    Buffers:   running = (1 - momentum) * running + momentum * batch, the variance divided by count - 1;
               momentum=None averages over every batch so far, which num_batches_tracked counts
    Shapes:    x, y: (batch, num_features, ...) with one, two or three sizes by the class, and BatchNorm1d none too;
               the others: (num_features,)
    Raises:    ShapeError for another shape, for a single value per channel where the batch's statistics are used, or
               if d_y has not the shape of y;  DtypeError if x or d_y has another dtype than weight;
               ArgumentError for num_features or eps below 0, momentum outside 0 to 1, or a dtype that is not
               floating point, or for weights that have no room in memory
    Source:    Ioffe and Szegedy 2015, "Batch normalization: accelerating deep network training by reducing internal
               covariate shift"

    Example:
        >>> BatchNorm1d(1)(torch.tensor([[1.0], [3.0]]))
        tensor([[-1.0000],
                [ 1.0000]])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"num_features": 3},
        "tags": ("mixes_batch", "fixed_dimensions"),
    }

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        require_flags(self, affine=affine, track_running_stats=track_running_stats, bias=bias)
        self._set_channels(num_features, eps, momentum, affine, track_running_stats, bias, device, dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, Saved]:
        self._require_channels(x, 1, *self._axes())
        of_batch = self.training or self.running_mean is None
        if of_batch and x.numel() == self.num_features:
            raise ShapeError(
                f"{self._name}: x must have more than one value per channel in training mode, "
                f"got {tuple(x.shape)}; use a larger batch, drop_last for an epoch's last batch, or eval()"
            )
        if of_batch and not self.eps:
            raise ArgumentError(f"{self._name}: eps must be above 0 in training mode, got {self.eps}")
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.value.add_(1)
        if x.numel() == 0:
            return torch.empty_like(x), x.shape
        if not of_batch:
            y, known = self._by_running(x)
            return y, (*known, False)
        y, known = self._by_formula(x) if _is_worth_more_calls(x) else self._by_kernel(x)
        return y, (*known, True)

    def backward(self, d_y: Tensor, saved: Saved) -> Tensor | None:
        if isinstance(saved, torch.Size):
            require_upstream(self, d_y, saved)
            return self._backward_of_nothing(d_y)
        require_saved(self, saved, Tensor, Tensor, Tensor, bool)
        x, mean, spread, of_batch = saved
        self._require_own(x.shape[1])
        self._require_upstream(d_y, x.shape, x)  # the kernel reads beyond a shorter one
        weight, _ = self._scale_and_shift()
        d_x, d_weight, d_bias = self._gradients(d_y, weight, (x, mean, spread), of_batch)
        self._accumulate(d_weight, d_bias)
        return d_x if self.input_grad else None

    def tangent(self, t_x: Tensor | None, saved: Saved, along: Directions) -> tuple[Tensor | None, Normalized | None]:
        if isinstance(saved, torch.Size):  # of an empty batch
            return t_x, None
        x, mean, spread, of_batch = saved
        others = others_than_channels(x)
        average = (lambda values: values.mean(others, keepdim=True)) if of_batch else None
        r = spread if of_batch else (spread + self.eps).rsqrt()
        return self._tangent(t_x, (x, mean, r), average, along)

    backward_tangent = affine_backward_tangent

    def sample_gradients(self, d_y: Tensor, saved: Saved, axis: int) -> dict[str, SampleGradients] | None:
        require_saved(self, saved, Tensor, Tensor, Tensor, bool)
        x, mean, variance, of_batch = cast(tuple[Tensor, Tensor, Tensor, bool], saved)
        if of_batch:
            return None  # what the statistics of the batch mix has no gradients of single samples
        sizes = (1, -1, *(1,) * (x.dim() - 2))
        n = (x - mean.view(sizes)) * (variance + self.eps).rsqrt().view(sizes)
        return self._each_sample(d_y, n, axis, 1)

    def _tangent(
        self, t_x: Tensor | None, known: Known, average: Average | None, along: Directions
    ) -> tuple[Tensor, Normalized]:
        """The change of y, where x, its mean and 1 / sqrt(variance + eps) are known, and what the backward needs."""
        x, mean, r = known
        shape = (1, -1, *(1,) * (x.dim() - 2))
        r = r.view(shape)
        moved = Normalized.of(x, t_x, mean.view(shape), r, average, tuple(r.shape))
        return affine_tangent(self, moved, along), moved

    def _axes(self) -> tuple[int, ...]:
        """The numbers of axes that x may have."""
        return (2, 3) if self.dimensions == 1 else (self.dimensions + 2,)

    def _by_kernel(self, x: Tensor) -> tuple[Tensor, Known]:
        """y by the statistics of the batch, and x with its mean and r; the kernel moves the running ones."""
        weight, bias = self._scale_and_shift()
        average, variance, momentum = None, None, 0.0
        if self.training and self.running_mean is not None and self.running_var is not None:
            if self.momentum is not None:
                average, variance, momentum = self.running_mean.value, self.running_var.value, self.momentum
            else:
                batch = x.detach().transpose(0, 1).flatten(1)
                self._follow(batch.mean(1), batch.var(1))
        y, mean, r = torch.native_batch_norm(x, weight, bias, average, variance, True, momentum, self.eps)
        return y, (x, mean, r)

    def _by_formula(self, x: Tensor) -> tuple[Tensor, Known]:
        """The same with sums of their own, which torch computes several numbers at a time."""
        others, count = others_than_channels(x), x.numel() // self.num_features
        each = (-1, *(1,) * (x.dim() - 2))
        mean = x.mean(others)
        centered = x - mean.view(each)
        rounding = centered.mean(others)  # of the mean, which would show in a channel of equal numbers
        mean += rounding
        variance = centered.square_().mean(others).sub_(rounding.square()).clamp_(min=0)
        del centered
        r = (variance + self.eps).rsqrt_()
        if not is_compiling() and not ((r > 0) & (r < torch.inf)).all():  # squares beyond the dtype, or no numbers
            return self._by_kernel(x)
        if self.training:
            self._follow(mean, variance * (count / (count - 1)))
        weight, bias = self._scale_and_shift()
        scale = r if weight is None else weight * r
        shift = mean * -scale if bias is None else bias - mean * scale
        return (x * scale.view(each)).add_(shift.view(each)), (x, mean, r)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of a batch, if there are any."""
        if self.running_mean is None or self.running_var is None:
            return
        share: float | Tensor | None = self.momentum
        if share is None:
            share = cast(Buffer, self.num_batches_tracked).value.to(self.running_mean.value.dtype).reciprocal()
        self.running_mean.value.lerp_(mean, share)
        self.running_var.value.lerp_(variance, share)


def _is_worth_more_calls(x: Tensor) -> bool:
    """Whether sums of their own are faster than the kernel's: they are for large images, row by row in memory.

    Where autograd checks a forward, it takes the kernel, whose results are not written into.
    """
    large = x.numel() >= MANY and x.shape[2:].numel() >= MANY_PER_CHANNEL
    return large and x.is_cpu and x.dtype in SUMMED and x.is_contiguous() and not x.requires_grad


def others_than_channels(x: Tensor) -> tuple[int, ...]:
    """The axes of x but the second."""
    return tuple(axis for axis in range(x.dim()) if axis != 1)


class BatchNorm1d(_BatchNorm):
    dimensions = 1


class BatchNorm2d(_BatchNorm):
    dimensions = 2


class BatchNorm3d(_BatchNorm):
    dimensions = 3
