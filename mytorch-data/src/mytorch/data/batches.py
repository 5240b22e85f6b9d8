"""Going through a data set a batch at a time."""

from collections.abc import Iterator
from typing import Any

import torch

from mytorch.core import fetch, fetch_exact
from mytorch.core.batch import rows_within

MOST = 4096
"""Rows at once; fewer of large ones."""


def batches(dataset: Any, size: int = MOST) -> Iterator[tuple[Any, Any]]:
    """The inputs and targets of all rows, in order."""
    for indices in torch.arange(len(dataset)).split(rows_within(dataset, size)):
        yield fetch(dataset, indices)


def exact_batches(dataset: Any, size: int = MOST) -> Iterator[tuple[Any, Any]]:
    """The inputs and targets of all rows, in order, before their numbers were rounded to the dtype that is trained."""
    for indices in torch.arange(len(dataset)).split(rows_within(dataset, size)):
        yield fetch_exact(dataset, indices)
