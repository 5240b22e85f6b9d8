"""Rows of anything that torch's DataLoader takes, as one batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset, default_collate

from mytorch.core.dataset import DataSet
from mytorch.core.errors import ArgumentError

Batch = tuple[Any, Any]

EMBEDDED = 32
"""Numbers of the vector that an embedding makes of a whole number, about."""


def fetch(data: Any, indices: Tensor) -> Batch:
    """The rows at `indices`, int64 from 0, as one batch; see DataSet for what gives a whole batch at once."""
    if hasattr(data, "batch_at"):
        return as_pair(data, data.batch_at(indices))
    wanted = indices.tolist()
    if isinstance(data, Subset):  # torch's own, whose rows may come from a data set that gives them at once
        return fetch(data.dataset, _of_subset(data, indices))
    rows = data.__getitems__(wanted) if hasattr(data, "__getitems__") else [data[index] for index in wanted]
    return as_pair(data, default_collate(rows))


def fetch_exact(data: Any, indices: Tensor) -> Batch:
    """The rows at `indices` before their numbers were rounded, as far as the data set knows them; see `exact_at`."""
    if hasattr(data, "exact_at"):
        return as_pair(data, data.exact_at(indices))
    if isinstance(data, Subset):
        return fetch_exact(
            data.dataset, torch.tensor([data.indices[at] for at in indices.tolist()], dtype=torch.int64)
        )
    return fetch(data, indices)


def count_bytes(value: Any) -> float:
    """The memory of a tensor or of a structure of tensors; infinite for anything else."""
    if isinstance(value, Mapping):
        return sum(map(count_bytes, value.values()))
    if isinstance(value, (tuple, list)):
        return sum(map(count_bytes, value))
    return value.nbytes if isinstance(value, Tensor) else math.inf


def rows_within(data: Any, most: int, size: int = 2**24) -> int:
    """How many rows may be read at once, `most` at most, so that they take about `size` bytes. The first row tells.

    Of several whole numbers, such as the tokens of a text, each counts as `EMBEDDED`: a model makes vectors of them.
    """
    if not isinstance(data, DataSet) or not len(data):
        return most
    inputs, targets = fetch(data, torch.zeros(1, dtype=torch.int64))
    share = count_bytes(inputs if targets is None else (inputs, targets))
    if isinstance(inputs, Tensor) and inputs.dtype == torch.int64 and inputs.dim() > 1:
        share *= EMBEDDED
    return most if share == math.inf else max(1, min(most, int(size / max(share, 1))))


def _of_subset(data: Any, indices: Tensor) -> Tensor:
    return torch.tensor([data.indices[index] for index in indices.tolist()], dtype=torch.int64)


def as_pair(data: Any, batch: Any) -> Batch:
    """A batch as (inputs, targets). Raises ArgumentError if it is something else."""
    if not isinstance(batch, Sequence) or len(batch) != 2:
        what = f"{type(batch).__name__} of {len(batch)}" if isinstance(batch, Sequence) else type(batch).__name__
        raise ArgumentError(f"{type(data).__name__}: a batch must be a pair (inputs, targets), got a {what}")
    inputs, targets = batch
    return inputs, targets
