"""Seeded splits."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, rows_at


class Rows(DataSet):
    """Some rows of a data set, fetched from it when they are asked for.

    indices: which rows, int64 of shape (rows,).
    """

    def __init__(self, dataset: DataSet, indices: Tensor) -> None:
        self.dataset, self.indices = dataset, indices
        self.columns, self.classes, self.preparation = dataset.columns, dataset.classes, dataset.preparation

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, indices: Tensor | list[int]) -> tuple[Any, Any]:
        return self.dataset.__getitems__(rows_at(self.indices, indices))


def split(dataset: DataSet, fractions: Sequence[float], seed: int = 0) -> tuple[Rows, ...]:
    """Divide the rows of a data set at random into parts that share none; the seed decides which.

        train, test = split(data, (0.8, 0.2), seed=0)

    fractions: each part's share of the rows, adding up to 1; sizes are rounded so that no row is lost.
    Raises ArgumentError if they do not add up, or a part would be empty.
    """
    if not fractions or any(not 0 < share <= 1 for share in fractions):
        raise ArgumentError(f"split: fractions must be above 0 and at most 1, got {list(fractions)}")
    if not math.isclose(math.fsum(fractions), 1.0, rel_tol=1e-9):
        raise ArgumentError(
            f"split: fractions must add up to 1, got {list(fractions)}, which add up to {math.fsum(fractions):g}"
        )
    rows = len(dataset)
    ends = [round(rows * math.fsum(fractions[: count + 1])) for count in range(len(fractions))]
    starts = [0, *ends[:-1]]
    sizes = [end - start for start, end in zip(starts, ends, strict=True)]
    if min(sizes) == 0:
        raise ArgumentError(f"split: every part must get at least one row, got {sizes} of {rows} rows")
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    parts = [order[start:end] for start, end in zip(starts, ends, strict=True)]
    return tuple(Rows(dataset, part) for part in parts)
