"""Normalisation layers: numbers of mean 0 and variance 1, whatever the layers before do."""

from mytorch.nn.normalization.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from mytorch.nn.normalization.group_norm import GroupNorm
from mytorch.nn.normalization.instance_norm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from mytorch.nn.normalization.layer_norm import LayerNorm
from mytorch.nn.normalization.lazy_norm import (
    LazyBatchNorm1d,
    LazyBatchNorm2d,
    LazyBatchNorm3d,
    LazyInstanceNorm1d,
    LazyInstanceNorm2d,
    LazyInstanceNorm3d,
)
from mytorch.nn.normalization.local_response_norm import CrossMapLRN2d, LocalResponseNorm
from mytorch.nn.normalization.rms_norm import RMSNorm
from mytorch.nn.normalization.sync_batch_norm import SyncBatchNorm

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "CrossMapLRN2d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LocalResponseNorm",
    "RMSNorm",
    "SyncBatchNorm",
]
