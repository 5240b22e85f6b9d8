"""What an experiment does to its data: functions of the training, validation and test part that return them anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mytorch.core import ArgumentError, DataSet, View
from mytorch.data.preparation import Standardize, Standardized
from mytorch.data.split import divide
from mytorch.data.table import Table
from mytorch.plugins import shown


class Parts(NamedTuple):
    """The parts of the data: what is learned from, what is chosen by, and what the result is told of."""

    training: DataSet
    validation: DataSet | None = None
    test: DataSet | None = None

    def map(self, change: Callable[[DataSet], DataSet]) -> Parts:
        """Every part that there is, changed."""
        return Parts(*(None if part is None else change(part) for part in self))  # type: ignore[arg-type]


def hold_out(
    data: DataSet,
    validation: float | int | None = None,
    test: float | int | None = None,
    seed: int = 0,
    stratify: bool = True,
) -> Parts:
    """Hold rows back for the validation and the test part; the training part is the rest.

    validation, test: a share of the rows between 0 and 1, or a number of rows; None makes no such part.
    seed, stratify: as in `split`. The test part is the same with and without a validation part, unless classes are
        stratified.
    What a Table fills in is learned from the training part.
    Raises ArgumentError if nothing is left for the training part.
    """
    rows = len(data)
    held = {
        name: _count(name, share, rows)
        for name, share in (("validation", validation), ("test", test))
        if share is not None
    }
    if sum(held.values()) >= rows:
        raise ArgumentError(f"hold_out: rows must be left to train on, got {held} of {rows} rows held back")
    sizes = [rows - sum(held.values()), *held.values()]
    told = [f"the {name} part" for name in ("training", *held)]
    kept, *others = divide(data, sizes, seed, stratify, told)
    if isinstance(data, Table):
        data = data.learned_from(kept.indices)
    views = dict(zip(held, (View(data, part.indices) for part in others), strict=True))
    return Parts(View(data, kept.indices), **views)


def _count(name: str, share: float | int, rows: int) -> int:
    """A number of rows, from one or from a share of them."""
    whole = type(share) is int
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < (rows if whole else 1):
        raise ArgumentError(
            f"hold_out: {name} must be a share between 0 and 1 or a number of rows below {rows}, got {shown(share)}"
        )
    return int(share) if whole else rows - round(rows * (1 - share))


def standardize(parts: tuple[DataSet, DataSet | None, DataSet | None]) -> Parts:
    """Standardise every part by what the rows of the training part alone say."""
    learned = Standardize.fit(parts[0])
    return Parts(*parts).map(lambda part: Standardized(part, learned))
