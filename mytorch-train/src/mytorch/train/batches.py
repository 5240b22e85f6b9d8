"""Batches of a data set, in an order that a seed decides."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mytorch.core import ArgumentError, fetch
from mytorch.core.batch import Batch, as_pair

GATHER_BYTES = 2**20
"""Small batches are gathered by one indexing operation up to this size, since each costs as much as a layer."""


class Batches:
    """An epoch of (inputs, targets) at each iteration; the last batch may be smaller.

    data: anything with `len` that returns a whole batch from `__getitems__(indices)`, or one row from
        `__getitem__(index)`; or a DataLoader, which is taken as it is.
    shuffle: draw a new order each epoch from a generator of its own, seeded by `seed`.
    """

    def __init__(self, data: Any, batch_size: int, *, shuffle: bool = False, seed: int = 0) -> None:
        if type(batch_size) is not int or batch_size < 1:
            raise ArgumentError(f"Batches: batch_size must be a whole number of at least 1, got {batch_size!r}")
        try:
            len(data)
        except TypeError:  # a DataLoader has `len` in any case; it fails over a stream
            raise ArgumentError(f"Batches: data must have a length, got {type(data).__name__}") from None
        self.data, self.batch_size, self.shuffle = data, batch_size, shuffle
        self.generator = torch.Generator().manual_seed(seed)
        self._together = 1

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
            yield from (as_pair(self.data.dataset, batch) for batch in self.data)
            return
        rows = len(self.data)
        order = torch.randperm(rows, generator=self.generator) if self.shuffle else torch.arange(rows)
        at = 0
        while at < rows:
            together = self._together  # one at first, to see how much memory a row takes
            indices = order[at : at + together * self.batch_size]
            batch = fetch(self.data, indices)
            yield from split_batch(batch, self.batch_size) if together > 1 else (batch,)
            at += together * self.batch_size
            inputs, targets = batch
            share = count_bytes(inputs if targets is None else batch) / len(indices)
            self._together = int(max(1, GATHER_BYTES // (share * self.batch_size + 1)))


def split_batch(batch: Batch, size: int) -> Iterator[Batch]:
    """Cut a large batch into small ones, without copying."""
    inputs, targets = batch
    if targets is None:  # of new rows
        yield from ((_rows(inputs, at, size), None) for at in range(0, count_rows(inputs), size))
        return
    if isinstance(inputs, Tensor) and isinstance(targets, Tensor):
        yield from zip(torch.split(inputs, size), torch.split(targets, size), strict=True)
        return
    for at in range(0, count_rows(targets), size):
        yield _rows(inputs, at, size), _rows(targets, at, size)


def _rows(value: Any, at: int, size: int) -> Any:
    return value[at : at + size] if isinstance(value, Tensor) else tuple(_rows(entry, at, size) for entry in value)


def count_bytes(value: Any) -> float:
    """The memory of a tensor or of nested sequences of tensors; infinite for what `split_batch` cannot cut."""
    if isinstance(value, (tuple, list)):
        return sum(map(count_bytes, value))
    return value.nbytes if isinstance(value, Tensor) else math.inf


def count_rows(targets: Any) -> int:
    """The number of rows in a batch."""
    first = targets
    while isinstance(first, (tuple, list)):
        first = first[0]
    return int(first.shape[0])  # len() of a tensor takes three times as long
