"""Instance normalisation."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Directions, SampleGradients, ShapeError, require_flags, require_saved
from mytorch.nn.normalization._statistics import OfChannels
from mytorch.nn.normalization._tangents import Normalized, affine_backward_tangent, affine_tangent

Saved = tuple[torch.Size, Tensor, Tensor, Tensor, bool]


class _InstanceNorm(OfChannels):
    """Give each channel of each row mean 0 and variance 1, then each channel a learned scale and shift.

    Forward:   n = (x - mean) * r with r = 1 / sqrt(variance + eps);  y = weight * n + bias
               mean and variance (divided by the count) over the sizes of each channel of each row; in evaluation
               mode with track_running_stats: the running ones
    Backward:  d_weight = sum(d_y * n);  d_bias = sum(d_y);  d_n = weight * d_y
               d_x = r * (d_n - average(d_n) - n * average(d_n * n));  by running statistics d_x = r * d_n
    Kernel:    aten.native_batch_norm_backward of one row with batch * num_features channels
    Buffers:   running = (1 - momentum) * running + momentum * average over the rows, the variance divided by
               count - 1; momentum=None leaves them; num_batches_tracked stays 0, as in torch
    Shapes:    x, y: (num_features, ...) with one, two or three sizes by the class, with or without a batch in front;
               the others: (num_features,)
    Raises:    ShapeError for another shape, for channels of a single value where the statistics of x are used, or if
               d_y has not the shape of y;  DtypeError if x or d_y has another dtype than weight;
               ArgumentError for num_features or eps below 0, momentum outside 0 to 1, or a dtype that is not
               floating point, or for weights that have no room in memory
    Source:    Ulyanov, Vedaldi and Lempitsky 2016, "Instance normalization: the missing ingredient for fast
               stylization"

    Example:
        >>> InstanceNorm1d(1)(torch.tensor([[1.0, 3.0]]))
        tensor([[-1.0000,  1.0000]])
    """

    conformance: ClassVar[dict[str, Any]] = {"arguments": {"num_features": 3}, "tags": ("fixed_dimensions",)}

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        require_flags(self, affine=affine, track_running_stats=track_running_stats, bias=bias)
        self._set_channels(num_features, eps, momentum, affine, track_running_stats, bias, device, dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, Saved]:
        axes = self.dimensions
        self._require_channels(x, -axes - 1, axes + 1, axes + 2)
        of_instance = self.training or self.running_mean is None
        if of_instance and x.shape[-axes:].numel() == 1:
            raise ShapeError(
                f"{self._name}: x must have more than one value in each channel of a row, got {tuple(x.shape)}"
            )
        if x.numel() == 0:
            return torch.empty_like(x), (x.shape, x, x, x, of_instance)
        rows = x if x.dim() == axes + 2 else x.unsqueeze(0)
        y, known = self._by_instance(rows) if of_instance else self._by_running(rows)
        return y.reshape(x.shape), (x.shape, *known, of_instance)

    def backward(self, d_y: Tensor, saved: Saved) -> Tensor | None:
        require_saved(self, saved, torch.Size, Tensor, Tensor, Tensor, bool)
        shape, x, mean, spread, of_instance = saved
        self._require_own(shape[-self.dimensions - 1])
        self._require_upstream(d_y, shape, x)
        if x.numel() == 0:
            return self._backward_of_nothing(d_y)
        weight, _ = self._repeated(x.shape[1]) if of_instance else self._scale_and_shift()
        d_x, d_weight, d_bias = self._gradients(d_y.reshape(x.shape), weight, (x, mean, spread), of_instance)
        if of_instance:
            d_weight, d_bias = (None if each is None else self._folded(each) for each in (d_weight, d_bias))
        self._accumulate(d_weight, d_bias)
        return d_x.reshape(shape) if self.input_grad else None

    def tangent(self, t_x: Tensor | None, saved: Saved, along: Directions) -> tuple[Tensor | None, Normalized | None]:
        shape, x, mean, spread, of_instance = saved
        if x.numel() == 0:
            return t_x, None
        r = spread if of_instance else (spread + self.eps).rsqrt()
        rows = self._rows(x, shape)
        average = (lambda values: values.mean(2, keepdim=True)) if of_instance else None
        each = (-1, self.num_features, 1)  # the statistics of each row, or of all
        t_rows = None if t_x is None else self._rows(t_x, shape)
        moved = Normalized.of(rows, t_rows, mean.view(each), r.view(each), average, (1, self.num_features, 1))
        return affine_tangent(self, moved, along).reshape(shape), moved

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, saved: Saved, moved: Normalized | None, along: Directions
    ) -> tuple[Tensor | None, Tensor | None]:
        shape = saved[0]
        if moved is not None:
            d_y, t_d_y = self._rows(d_y, shape), self._rows(t_d_y, shape)
        d_x, t_d_x = affine_backward_tangent(self, d_y, t_d_y, saved, moved, along)
        return None if d_x is None else d_x.reshape(shape), None if t_d_x is None else t_d_x.reshape(shape)

    def sample_gradients(self, d_y: Tensor, saved: Saved, axis: int) -> dict[str, SampleGradients]:
        shape, x, mean, spread, of_instance = saved
        r = spread if of_instance else (spread + self.eps).rsqrt()
        sizes = (1, -1, *(1,) * (x.dim() - 2))
        n = (x - mean.view(sizes)) * r.view(sizes)
        return self._each_sample(d_y, n.reshape(shape), axis, 1)

    def _by_instance(self, rows: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """y by the statistics of each channel of each row, as those of the channels of one row."""
        x = rows.reshape(1, -1, rows.shape[2:].numel())
        if self._is_for_groups(x):
            weight, bias = self._dense_scale_and_shift()
            sizes = (rows.shape[0], self.num_features, x.shape[2])
            groups = x.reshape(sizes).contiguous()  # which the kernel asks for
            y, mean, r = torch.native_group_norm(groups, weight, bias, *sizes, self.num_features, self.eps)
            return y, (x, mean.flatten(), r.flatten())
        weight, bias = self._repeated(x.shape[1])
        average, variance = (
            None if buffer is None else buffer.value.repeat(len(rows))
            for buffer in (self.running_mean, self.running_var)
        )
        y, mean, r = torch.native_batch_norm(x, weight, bias, average, variance, True, self.momentum or 0.0, self.eps)
        for buffer, updated in ((self.running_mean, average), (self.running_var, variance)):
            if buffer is not None and updated is not None:
                buffer.value.copy_(updated.view(-1, self.num_features).mean(0))
        return y, (x, mean, r)

    def _is_for_groups(self, x: Tensor) -> bool:
        """Whether the kernel of groups of one channel is right, and faster, as it is on a CPU.

        It gives no variance for the running one, and without eps it divides by that of a constant channel.
        """
        precise = x.dtype in (torch.float32, torch.float64)
        return precise and x.is_cpu and self.running_mean is None and self.eps >= torch.finfo(x.dtype).tiny

    def _rows(self, x: Tensor, shape: torch.Size) -> Tensor:
        """(rows, num_features, numbers of a channel), of what has as many numbers as x."""
        return x.reshape(-1, self.num_features, shape[-self.dimensions :].numel())

    def _repeated(self, channels: int) -> tuple[Tensor | None, Tensor | None]:
        """Scale and shift of each channel of each row."""
        rows = channels // self.num_features
        scale, shift = self._scale_and_shift()
        return None if scale is None else scale.repeat(rows), None if shift is None else shift.repeat(rows)

    def _folded(self, d_repeated: Tensor) -> Tensor:
        return d_repeated.view(-1, self.num_features).sum(0)


class InstanceNorm1d(_InstanceNorm):
    dimensions = 1


class InstanceNorm2d(_InstanceNorm):
    dimensions = 2


class InstanceNorm3d(_InstanceNorm):
    dimensions = 3
