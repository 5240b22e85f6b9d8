"""Going through a data set a batch at a time."""

from collections.abc import Iterator
from typing import Any

import torch

from mytorch.core import fetch


def batches(dataset: Any, size: int = 4096) -> Iterator[tuple[Any, Any]]:
    """The inputs and targets of all rows, in order."""
    rows = len(dataset)
    for start in range(0, rows, size):
        yield fetch(dataset, torch.arange(start, min(start + size, rows)))
