"""Batch and instance normalisations that take num_features from their first input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import require_flags
from mytorch.nn._lazy_channels import LazyChannels
from mytorch.nn.normalization.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from mytorch.nn.normalization.instance_norm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d

RUNNING = ("running_mean", "running_var", "num_batches_tracked")


class _LazyNorm(LazyChannels):
    """The base of both."""

    channels = "num_features"

    def __init__(
        self,
        eps: float = 1e-5,  # noqa: ARG002 - kept for the layer to come, as momentum is
        momentum: float | None = 0.1,  # noqa: ARG002
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        require_flags(self, affine=affine, track_running_stats=track_running_stats, bias=bias)
        parameters = {"weight": affine, "bias": affine and bias}
        self._set_lazy((device, dtype), 1, parameters, dict.fromkeys(RUNNING, track_running_stats))

    def sizes_of_state(self, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        held = next((state[name] for name in ("weight", "running_mean") if name in state), None)
        return None if held is None or held.dim() != 1 else {self.channels: len(held)}


class _LazyBatchNorm(_LazyNorm):
    """A BatchNorm1d, BatchNorm2d or BatchNorm3d that takes num_features from its first input, or from a state dict.

    Forward:   as BatchNorm2d of the same arguments; the first one makes scale, shift and running statistics, and makes
               this a BatchNorm2d
    Backward:  that of BatchNorm2d, which this is by then
    Shapes:    x: (batch, num_features, ...) with one, two or three sizes by the class, and LazyBatchNorm1d none too
    Raises:    as BatchNorm2d; ShapeError or DtypeError if the first x has other axes or another dtype than the weight
               is to have;  UninitializedError where a value is read before there is one: an optimizer, a state dict
               and new initial values need them, so run one batch through the model first
    Source:    as BatchNorm2d; num_features from the first input: torch.nn.LazyBatchNorm2d, whose behaviour it follows

    Example:
        >>> net = Sequential(LazyBatchNorm1d(), ReLU())
        >>> net(torch.tensor([[1.0, 2.0], [3.0, 2.0]]))
        tensor([[0.0000, 0.0000],
                [1.0000, 0.0000]])
        >>> net[0]
        BatchNorm1d(num_features=2)
    """

    def _axes(self) -> tuple[tuple[int, ...], int]:
        count = self.becomes.dimensions
        return ((2, 3) if count == 1 else (count + 2,)), 1


class LazyBatchNorm1d(_LazyBatchNorm):
    becomes = BatchNorm1d


class LazyBatchNorm2d(_LazyBatchNorm):
    becomes = BatchNorm2d


class LazyBatchNorm3d(_LazyBatchNorm):
    becomes = BatchNorm3d


class _LazyInstanceNorm(_LazyNorm):
    """An InstanceNorm1d, 2d or 3d that takes num_features from its first input, or from a state dict.

    As in torch, affine and track_running_stats are True unless something else is said, unlike those of InstanceNorm2d.

    Forward:   as InstanceNorm2d of the same arguments; the first one makes scale, shift and running statistics, and
               makes this an InstanceNorm2d
    Backward:  that of InstanceNorm2d, which this is by then
    Shapes:    x: (num_features, ...) with one, two or three sizes by the class, with or without a batch in front
    Raises:    as InstanceNorm2d; ShapeError or DtypeError if the first x has other axes or another dtype than the
               weight is to have;  UninitializedError where a value is read before there is one: an optimizer, a state
               dict and new initial values need them, so run one batch through the model first
    Source:    as InstanceNorm2d; num_features from the first input: torch.nn.LazyInstanceNorm2d, whose behaviour it
               follows

    Example:
        >>> layer = LazyInstanceNorm1d(affine=False, track_running_stats=False)
        >>> layer(torch.tensor([[1.0, 3.0]]))
        tensor([[-1.0000,  1.0000]])
        >>> layer
        InstanceNorm1d(num_features=1)
    """


class LazyInstanceNorm1d(_LazyInstanceNorm):
    becomes = InstanceNorm1d


class LazyInstanceNorm2d(_LazyInstanceNorm):
    becomes = InstanceNorm2d


class LazyInstanceNorm3d(_LazyInstanceNorm):
    becomes = InstanceNorm3d
