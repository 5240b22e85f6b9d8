"""Batch normalisation over the batch of all processes that train together."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, distributed

from mytorch.core import Directions, ShapeError
from mytorch.nn.normalization._tangents import Normalized, affine_backward_tangent
from mytorch.nn.normalization.batch_norm import _BatchNorm, others_than_channels

Saved = Any  # of several processes, (x, mean, r, count); else what BatchNorm1d saves


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation whose statistics are those of the rows of all processes; in one process, BatchNorm1d to 3d.

    Forward:   n = (x - mean) * r with r = 1 / sqrt(variance + eps);  y = weight * n + bias
               training in a group of torch.distributed: mean and variance over the rows of all processes;
               else as BatchNorm1d
    Backward:  d_weight = sum(d_y * n);  d_bias = sum(d_y);  d_n = weight * d_y
               d_x = r * (d_n - average(d_n) - n * average(d_n * n)), the averages over the rows of all processes
    Buffers:   as BatchNorm1d
    Shapes:    x, y: (batch, num_features, ...) with up to three sizes;  the others: (num_features,)
    Raises:    as BatchNorm1d, but a process may have a single value per channel, or none, unless all have so
    Source:    Ioffe and Szegedy 2015, "Batch normalization: accelerating deep network training by reducing internal
               covariate shift"; over all processes: Peng et al. 2017, "MegDet: a large mini-batch object detector"

    Gradients of scale and shift are those of the rows of this process. Every process must come to each forward and
    backward: `fit(parallel=...)` sees to it, also where a process has no rows.

    Example:
        >>> SyncBatchNorm(1)(torch.tensor([[1.0], [3.0]]))
        tensor([[-1.0000],
                [ 1.0000]])
    """

    asks_processes: ClassVar[bool] = True
    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"num_features": 3},
        "inputs": [(2, 3, 4, 4)],
        "tags": ("mixes_batch", "fixed_dimensions"),
    }

    def _axes(self) -> tuple[int, ...]:
        return 2, 3, 4, 5

    def forward(self, x: Tensor) -> tuple[Tensor, Saved]:
        of_batch = self.training or self.running_mean is None
        if not (of_batch and self.training and _together()):
            return super().forward(x)
        self._require_channels(x, 1, *self._axes())
        count, mean, squares = self._of_all(x)
        if x.numel() <= self.num_features and count <= 1:
            raise ShapeError(
                f"SyncBatchNorm: x must have more than one value per channel over all processes, got {int(count)}; "
                "use a larger batch, or drop_last for an epoch's last batch"
            )
        variance = squares / count
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.value.add_(1)
        dtype = x.dtype if self.running_mean is None else self.running_mean.value.dtype
        self._follow(mean.to(dtype), (squares / (count - 1)).to(dtype))
        r = (variance + self.eps).rsqrt()
        shape = (-1, *[1] * (x.dim() - 2))
        y = (x - mean.to(x.dtype).view(shape)) * r.to(x.dtype).view(shape)
        if self.weight is not None:
            y = y * self.weight.value.view(shape)
        if self.bias is not None:
            y = y + self.bias.value.view(shape)
        return y, (x, mean, r, count)

    def backward(self, d_y: Tensor, saved: Saved) -> Tensor | None:
        if not _is_of_all(saved):
            return super().backward(d_y, saved)
        x, mean, r, count = saved
        self._require_own(x.shape[1])
        self._require_upstream(d_y, x.shape, x)
        shape = (-1, *[1] * (x.dim() - 2))
        mean, r = mean.to(x.dtype).view(shape), r.to(x.dtype).view(shape)
        n = (x - mean) * r
        sums = torch.stack([_by_channel(d_y).sum(1), _by_channel(d_y * n).sum(1)])
        self._accumulate(
            sums[1].clone() if self.weight is not None else None, sums[0].clone() if self.bias is not None else None
        )
        distributed.all_reduce(sums)
        average, average_n = (each.view(shape) for each in (sums / count).to(x.dtype).unbind())
        if not self.input_grad:
            return None
        d_x: Tensor = r * (d_y - average - n * average_n)
        return d_x if self.weight is None else d_x * self.weight.value.view(shape)

    def tangent(self, t_x: Tensor | None, saved: Saved, along: Directions) -> tuple[Tensor | None, Normalized | None]:
        if not _is_of_all(saved):
            return super().tangent(t_x, saved, along)
        x, mean, r, count = saved

        def average(values: Tensor) -> Tensor:
            total = values.sum(others_than_channels(values), keepdim=True)
            distributed.all_reduce(total)
            return total.div_(count.to(total.dtype))

        return self._tangent(t_x, (x, mean.to(x.dtype), r.to(x.dtype)), average, along)

    backward_tangent = affine_backward_tangent

    def _of_all(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The number of values per channel, their means, and the sums of (x - mean)^2, over all processes."""
        rows = _by_channel(x).to(torch.promote_types(x.dtype, torch.float32))
        own = rows.sum(1) / max(rows.shape[1], 1)
        squares = (rows - own[:, None]).square().sum(1)
        told = torch.cat([rows.new_tensor([rows.shape[1]]), own, squares])
        found = [torch.empty_like(told) for _ in range(distributed.get_world_size())]
        distributed.all_gather(found, told)
        counts, means, parts = torch.stack(found).split([1, len(own), len(own)], 1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        return count, mean, (parts + counts * (means - mean).square()).sum(0)


def _by_channel(x: Tensor) -> Tensor:
    return x.transpose(0, 1).flatten(1)


def _is_of_all(saved: Saved) -> bool:
    """Whether it was saved by a forward of several processes."""
    return isinstance(saved, tuple) and len(saved) == 4 and isinstance(saved[3], Tensor)


def _together() -> bool:
    """Whether several processes train together."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
