"""What an experiment does to its data: functions of the training, validation and test part that return them anew."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, View
from mytorch.data.images import Augmented
from mytorch.data.preparation import Standardize, Standardized
from mytorch.data.sequences import Sequences
from mytorch.data.split import divide, warn_of_rare
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
    folds: int | None = None,
    fold: int | None = None,
) -> Parts:
    """Hold rows back for the validation and the test part; the training part is the rest.

    validation, test: a share of the rows between 0 and 1, or a number of rows; None makes no such part.
    seed, stratify: as in `split`. The test part is the same with and without a validation part, unless classes are
        stratified.
    folds, fold: the test part is the `fold`-th, from 1, of so many equal parts; `validation` is then of the others.
        With each fold in turn, every row is in the test part once.
    Rows in an order, windows of a time series and blocks of a text, are divided by place: training first, then
    validation, then test.
    What a Table, or Sequences, fills in is learned from the training part.
    Raises ArgumentError if nothing is left for the training part.
    """
    if folds is None and fold is None:
        parts = _held_out(data, validation, test, seed, stratify)
    else:
        rest, tested = _fold(data, test, seed, stratify, folds, fold)
        parts = {"training": rest.indices, "test": tested.indices}
        if validation is not None:
            held = _held_out(rest, validation, None, seed, stratify, told=False)
            parts |= {name: rest.indices[indices] for name, indices in held.items()}
    if isinstance(data, Table | Sequences):
        data = data.learned_from(parts["training"])
    views = {name: View(data, indices) for name, indices in parts.items()}
    if folds is not None and stratify:
        warn_of_rare({f"the {name} part": view for name, view in views.items()})
    return Parts(**views)


def _held_out(
    data: DataSet,
    validation: float | int | None,
    test: float | int | None,
    seed: int,
    stratify: bool,
    told: bool = True,
) -> dict[str, Tensor]:
    """The rows of each part by its name. told: whether to warn of rare classes."""
    rows = len(data)
    held = {
        name: _count(name, share, rows)
        for name, share in (("validation", validation), ("test", test))
        if share is not None
    }
    if sum(held.values()) >= rows:
        raise ArgumentError(f"hold_out: rows must be left to train on, got {held} of {rows} rows held back")
    names = [f"the {name} part" for name in ("training", *held)] if told else None
    parts = divide(data, [rows - sum(held.values()), *held.values()], seed, stratify, names)
    return {name: part.indices for name, part in zip(("training", *held), parts, strict=True)}


def _fold(data: DataSet, test: Any, seed: int, stratify: bool, folds: Any, fold: Any) -> tuple[View, View]:
    """All rows but a fold's, and those of the fold."""
    rows = len(data)
    if data.overlap is not None:
        raise ArgumentError(
            "hold_out: folds must be left out for a time series or a text, which is split by place; use test"
        )
    if test is not None or type(folds) is not int or not 2 <= folds <= rows:
        raise ArgumentError(
            f"hold_out: folds must be a whole number from 2 to the {rows} rows, without test, got {folds!r} and "
            f"test={test!r}"
        )
    if type(fold) is not int or not 1 <= fold <= folds:
        raise ArgumentError(f"hold_out: fold must be a whole number from 1 to {folds}, got {fold!r}")
    ends = [rows * number // folds for number in range(folds + 1)]
    sizes = [end - start for start, end in pairwise(ends)]
    parts = [part.indices for part in divide(data, sizes, seed, stratify)]
    tested = parts.pop(fold - 1)
    return View(data, torch.cat(parts)), View(data, tested)


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


def augment(parts: tuple[DataSet, DataSet | None, DataSet | None], flip: bool = False, random_crop: int = 0) -> Parts:
    """Change the images of the training part at random whenever they are read; see Augmented."""
    return Parts(*parts)._replace(training=Augmented(parts[0], flip, random_crop))
