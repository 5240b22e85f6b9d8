"""Numbers in a column of text, by pyarrow's vector operations."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from mytorch.data.table.cells import Array
from mytorch.data.table.numerals import Numerals, marked_numbers


@dataclass(frozen=True)
class Numbers:
    """A column in float64, NaN for a missing cell; how many are missing, by their text; the units beside numbers."""

    numbers: Array
    gone: dict[str, int]
    units: tuple[str, ...] = ()


def numbers_of(cells: Any, numerals: Numerals, markers: Collection[str]) -> Numbers | None:
    """The cells of a batch as numbers, or None if one is no number. Clean columns, which are most, take one cast."""
    import pyarrow
    from pyarrow import compute

    marked = marked_numbers(markers)
    if numerals == Numerals():
        try:
            numbers = np.asarray(compute.cast(cells, "float64"))
        except pyarrow.ArrowInvalid:
            pass
        else:
            return _numbers(numbers, cells, marked)
    text = pyarrow.scalar(None, pyarrow.string())
    cells = compute.utf8_trim_whitespace(cells)
    gone = compute.is_in(cells, value_set=pyarrow.array(sorted({"", *markers})))
    kept = compute.if_else(gone, text, cells)
    if kept.null_count == len(kept):
        return None
    plain = _plain(kept, numerals)
    try:
        numbers = compute.cast(plain, "float64").to_numpy(zero_copy_only=False)
    except pyarrow.ArrowInvalid:
        return None
    units = [unit for unit in numerals.units if compute.any(compute.match_substring(kept, unit)).as_py()]
    return _numbers(numbers, cells, marked, tuple(units))


def _plain(cells: Any, numerals: Numerals) -> Any:
    """The cells as a cast reads them; `Numerals.plain` for a whole column."""
    from pyarrow import compute

    replace, replace_all = compute.replace_substring_regex, compute.replace_substring
    if numerals.units:
        cells = replace(cells, numerals.unit_before, r"\1", max_replacements=1)
        cells = replace(cells, numerals.unit_after, "", max_replacements=1)
    if numerals.thousands:
        grouped = compute.match_substring_regex(cells, numerals.grouped)
        cells = compute.if_else(grouped, replace(cells, numerals.separator, ""), cells)
    if numerals.decimal == ",":
        cells = replace_all(replace_all(cells, ".", "?"), ",", ".")
    return replace(cells, r"^\+([0-9.])", r"\1")


def _numbers(numbers: Array, cells: Any, marked: list[float], units: tuple[str, ...] = ()) -> Numbers:
    """With NaN where a number means a missing cell, and how many cells are missing, by their text."""
    import pyarrow
    from pyarrow import compute

    if marked:
        numbers = np.where(np.isin(numbers, marked), np.nan, numbers)
    gone = np.isnan(numbers)
    if not gone.any():
        return Numbers(numbers, {}, units)
    texts = compute.value_counts(cells.filter(pyarrow.array(gone))).to_pylist()
    return Numbers(numbers, {entry["values"].strip(): entry["counts"] for entry in texts}, units)
