"""Going through a data set a batch at a time."""

from collections.abc import Iterator
from typing import Any

import torch

from mytorch.core import DataSet


def batches(dataset: DataSet, size: int = 4096) -> Iterator[tuple[Any, Any]]:
    """The inputs and targets of all rows, in order."""
    rows = len(dataset)
    for start in range(0, rows, size):
        yield dataset.__getitems__(torch.arange(start, min(start + size, rows)))
