"""Rows of anything that torch's DataLoader takes, as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import default_collate

from mytorch.core.errors import ArgumentError

Batch = tuple[Any, Any]


def fetch(data: Any, indices: Tensor) -> Batch:
    """The rows at `indices` as one batch."""
    if hasattr(data, "__getitems__"):
        batch = data.__getitems__(indices)
        if isinstance(batch, list):  # torch's own Subset returns rows
            batch = default_collate(batch)
    else:
        batch = default_collate([data[int(index)] for index in indices])
    return as_pair(data, batch)


def as_pair(data: Any, batch: Any) -> Batch:
    """A batch as (inputs, targets). Raises ArgumentError if it is something else."""
    if not isinstance(batch, Sequence) or len(batch) != 2:
        what = f"{type(batch).__name__} of {len(batch)}" if isinstance(batch, Sequence) else type(batch).__name__
        raise ArgumentError(f"{type(data).__name__}: a batch must be a pair (inputs, targets), got a {what}")
    inputs, targets = batch
    return inputs, targets
