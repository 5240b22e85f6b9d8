"""Which steps of a table are of which sequence, and in which order."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mytorch.core import ArgumentError
from mytorch.data.table.cells import Array
from mytorch.data.table.date_features import day_order, read_dates
from mytorch.data.table.dates import is_date
from mytorch.data.table.errors import TableError, TableWarning, shown
from mytorch.data.table.gather import Codes
from mytorch.data.table.recipe import Feature
from mytorch.data.table.source import Source
from mytorch.plugins import nearest

REGULAR = 0.9
"""From this share of equal steps in time on, a larger one is a gap."""


class Order(NamedTuple):
    """names: of the sequences, in the order of first sight.  rows: those of the table, sequence by sequence in the
    order of time.  lengths: how many of them each sequence has.
    """

    names: list[str]
    rows: Tensor
    lengths: Tensor


def read_order(source: Source, id: str, time: str, day_first: bool | None) -> Order:  # noqa: A002 - the option's name
    """The order of a table's rows, which may stand in any. Raises TableError for a row without an id or a time, a
    time that is neither a number nor a date, and two rows of one sequence at one time.
    """
    for option, name in (("id", id), ("time", time)):
        if name not in source.names:
            near = nearest(name, source.names)
            raise ArgumentError(f"Sequences: {option} must name a column of {source.path}, got {shown(name)}. {near}")
    ids, times = Codes(), Codes()
    for batch in source.batches([id, time], [id, time]):
        ids.add(batch[id])
        times.add(batch[time])
    for name, held, what in ((id, ids, "the id of a sequence"), (time, times, "a time")):
        if (gone := held.codes < 0).any():
            raise TableError(f"{source.cell(int(gone.argmax()), name)} must be {what}, got a missing cell")
    when = _times(source, time, times, day_first)
    names, of = _by_first_sight(ids)
    rows = np.lexsort((when, of))
    same = (np.diff(of[rows]) == 0) & (np.diff(when[rows]) == 0)
    if same.any():
        first, second = sorted(rows[int(same.argmax()) : int(same.argmax()) + 2].tolist())
        told = list(times.values)[times.codes[second]]
        raise TableError(
            f"{source.cell(second, time)} must be another time than those of the same sequence, got {shown(told)} for "
            f"{shown(names[of[second]])}, as in row {source.row(first)}"
        )
    _warn_of_gaps(source, names, of[rows], when[rows])
    return Order(names, torch.from_numpy(rows), torch.from_numpy(np.bincount(of, minlength=len(names))))


def _by_first_sight(text: Codes) -> tuple[list[str], Array]:
    """The texts of a column in the order in which its rows have them, and the place of each row's among them."""
    codes, first, found = np.unique(text.codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    values = list(text.values)
    return [values[codes[number]] for number in order], place[found]


def _times(source: Source, name: str, text: Codes, day_first: bool | None) -> Array:
    """The time of each row as a number: itself, or of a date the seconds since 1970."""
    values = list(text.values)
    if not is_date(values[0]):
        if bad := [code for code, value in enumerate(values) if not _is_finite(source, value)]:
            row = int(np.isin(text.codes, bad).argmax())
            raise TableError(
                f"{source.cell(row, name)} must be a finite number or a date such as 2024-01-31, got "
                f"{shown(values[text.codes[row]])}"
            )
        return np.array([float(source.numerals.plain(value)) for value in values])[text.codes]
    feature = Feature(name, "date", day_first=day_first if day_first is not None else day_order(source, name, values))
    dates = {code: np.datetime64(day, "us").astype(np.int64) / 1e6 for code, day in read_dates(source, feature, text)}
    return np.array([dates[code] for code in range(len(values))])[text.codes]


def _is_finite(source: Source, value: str) -> bool:
    return source.numerals.is_number(value) and bool(np.isfinite(float(source.numerals.plain(value))))


def _warn_of_gaps(source: Source, names: list[str], of: Array, when: Array) -> None:
    """Warn where nearly all steps in time are equal and some are larger."""
    steps, inside = np.diff(when), np.diff(of) == 0
    values, counts = np.unique(steps[inside].round(9), return_counts=True)
    if not len(values) or counts.max() < REGULAR * counts.sum():
        return
    usual = values[counts.argmax()]
    gaps = inside & (steps > usual * 1.5)
    if gaps.any():
        at = int(gaps.argmax())
        warnings.warn(
            f"{source.path}: sequence {shown(names[of[at]])} has a gap of {steps[at]:g} between two times that are "
            f"{usual:g} apart elsewhere, and there are {int(gaps.sum())} such gaps in all; steps that are not there "
            "are not filled in",
            TableWarning,
            stacklevel=4,
        )
