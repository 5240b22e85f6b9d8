"""Columns of dates as inputs, one for each part that was asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import numpy as np

from mytorch.core import ArgumentError
from mytorch.data.table.cells import Array
from mytorch.data.table.dates import PARTS, day_comes_first, has_day, has_time, is_date, order_matters, read_date
from mytorch.data.table.errors import TableError, shown
from mytorch.data.table.gather import Codes
from mytorch.data.table.options import Options
from mytorch.data.table.recipe import Feature
from mytorch.data.table.source import Source


def learn_dates(source: Source, name: str, text: Codes, options: Options) -> list[Feature]:
    """A feature for each part of a column of dates. Raises TableError for a cell that is no date.

    With `dates = "parts"` a time of day adds the hour, and a column of times alone has nothing but the hour.
    """
    values = list(text.values)
    day_first = options.day_first if options.day_first is not None else day_order(source, name, values)
    feature = Feature(name, "date", day_first=day_first)
    days = [day for _, day in read_dates(source, feature, text)]
    first = min((day.date() for day in days), default=date(1970, 1, 1))
    parts = options.date_parts
    if options.dates == "parts":
        parts = (*(parts if any(map(has_day, values)) else ()), *(("hour",) if any(map(has_time, values)) else ()))
    return [replace(feature, part=part, first=first.isoformat()) for part in parts]


def day_order(source: Source, name: str, values: list[str]) -> bool | None:
    """Whether the day stands before the month, as the dates show. Raises ArgumentError if they do not."""
    dates = [value for value in values if is_date(value)]
    found = day_comes_first(dates)
    if found is None and order_matters(dates):
        raise ArgumentError(
            f"{source.path}: column {shown(name)} must show whether the day stands before the month, got dates such "
            f"as {shown(dates[0])} that leave it open; say day_first = true or false"
        )
    return found


def encode_dates(source: Source, feature: Feature, text: Codes) -> Array:
    """A part of the dates of a column, (rows,); NaN where a cell is missing."""
    part, first = PARTS[str(feature.part)], date.fromisoformat(str(feature.first))
    known = {code: part(day, first) for code, day in read_dates(source, feature, text)}
    return np.array([*(known[code] for code in range(len(text.values))), np.nan])[text.codes]


def read_dates(source: Source, feature: Feature, text: Codes) -> list[tuple[int, datetime]]:
    """The dates by their codes. Raises TableError for a cell that is none, and for times between dates."""
    read = [(code, read_date(value, feature.day_first)) for value, code in text.values.items()]
    wrong = [code for code, day in read if day is None]
    values = list(text.values)
    if not wrong and any(map(has_day, values)) and not all(map(has_day, values)):
        wrong = [code for value, code in text.values.items() if not has_day(value)]
    if wrong:
        row = int(np.isin(text.codes, wrong).argmax())
        raise TableError(
            f"{source.cell(row, feature.name)} must be a date such as 2024-01-31, as the others of this column, "
            f"got {shown(values[text.codes[row]])}; leave the column out of features, or name what stands for a "
            "missing cell in missing_markers"
        )
    return [(code, day) for code, day in read if day is not None]
