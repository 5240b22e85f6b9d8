"""Batches of a data set, in an order that a seed decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from mytorch.core import ArgumentError

Batch = tuple[Any, Any]


class Batches:
    """An epoch of (inputs, targets) at each iteration; the last batch may be smaller.

    data: anything with `len` that returns a whole batch from `__getitems__(indices)`, or one row from
        `__getitem__(index)`; or a DataLoader, which is taken as it is.
    shuffle: draw a new order each epoch from a generator of its own, seeded by `seed`.
    """

    def __init__(self, data: Any, batch_size: int, *, shuffle: bool = False, seed: int = 0) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"Batches: batch_size must be a whole number of at least 1, got {batch_size!r}")
        if not hasattr(data, "__len__"):
            raise ArgumentError(f"Batches: data must have a length, got {type(data).__name__}")
        self.data, self.batch_size, self.shuffle = data, batch_size, shuffle
        self.generator = torch.Generator().manual_seed(seed)

    @property
    def replayable(self) -> bool:
        """Whether setting the generator's state back brings the same batches again."""
        return not isinstance(self.data, DataLoader)

    @property
    def rows(self) -> int:
        """The number of rows an epoch visits."""
        data: Any = self.data.dataset if isinstance(self.data, DataLoader) else self.data
        return len(data)

    def __len__(self) -> int:
        return len(self.data) if isinstance(self.data, DataLoader) else -(-len(self.data) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        if isinstance(self.data, DataLoader):
            yield from self.data
            return
        rows = len(self.data)
        order = torch.randperm(rows, generator=self.generator) if self.shuffle else torch.arange(rows)
        for indices in torch.split(order, self.batch_size):
            yield fetch(self.data, indices)


def fetch(data: Any, indices: Tensor) -> Batch:
    """The rows at `indices` as one batch."""
    if hasattr(data, "__getitems__"):
        batch = data.__getitems__(indices)
        if isinstance(batch, list):  # torch's own Subset returns rows
            batch = default_collate(batch)
    else:
        batch = default_collate([data[int(index)] for index in indices])
    if not isinstance(batch, Sequence) or len(batch) != 2:
        raise ArgumentError(f"{type(data).__name__}: a batch must be a pair (inputs, targets), got {type(batch)}")
    inputs, targets = batch
    return inputs, targets


def count_rows(targets: Any) -> int:
    """The number of rows in a batch."""
    first = targets
    while isinstance(first, (tuple, list)):
        first = first[0]
    return len(first)
