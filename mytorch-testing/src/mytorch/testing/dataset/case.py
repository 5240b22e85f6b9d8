"""A data set under test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mytorch.core import DataSet, seed_torch
from mytorch.testing.errors import CheckError

ROWS = 7  # of the first, in a batch; fewer where there are fewer

CONTRACT = ("__len__", "__getitem__", "batch_at", "columns", "classes", "targets", "preparation", "in_units")


@dataclass(frozen=True)
class DataSetCase:
    """What is checked: a way to build a data set, the seed of torch's generator, and what its author says of it."""

    factory: Callable[[], DataSet]
    seed: int
    tags: frozenset[str] = frozenset()


def build(case: DataSetCase) -> DataSet:
    """A new data set, and torch's generator at the seed."""
    seed_torch(case.seed)
    data = case.factory()
    missing = [name for name in CONTRACT if not hasattr(data, name)]
    if missing:
        raise CheckError(
            f"factory must return a mytorch.core.DataSet, got {type(data).__name__}, which lacks {missing}"
        )
    seed_torch(case.seed)
    return data


def first_rows(data: DataSet) -> Tensor:
    """Indices of the first rows, for a batch."""
    return torch.arange(min(ROWS, len(data)))
