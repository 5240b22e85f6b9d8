"""Looking at a file's columns before anything is decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mytorch.data.table.cells import Cells
from mytorch.data.table.dates import is_date
from mytorch.data.table.errors import naming
from mytorch.data.table.numerals import EXACT, Numerals, other_numerals
from mytorch.data.table.open_table import open_table
from mytorch.data.table.reading import MARKERS, Reading
from mytorch.data.table.source import Source

Kind = Literal["number", "text", "date", "boolean"]
COUNTED = 1000
"""Different values are counted up to here."""
EXAMPLES = 5


@dataclass(frozen=True)
class ColumnSummary:
    """What a column holds.

    missing: cells without a value.  distinct: different values, counted up to 1000.  examples: the first of them.
    whole: whether all numbers are whole.  low, high: the range of numbers, else None.
    gone: how many cells are missing, by the text that stands in them.
    words: of a column of text in which most cells are numbers, the others, and in how many rows they stand.
    reading: of a column of text, the options of a Table under which all its cells are numbers, if there are any.
    """

    name: str
    kind: Kind
    missing: int
    distinct: int
    examples: tuple[str, ...]
    whole: bool = False
    low: float | None = None
    high: float | None = None
    gone: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, int] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)


def inspect_table(
    path: str | Path,
    delimiter: str = ",",
    decimal: str = ".",
    encoding: str = "utf-8",
    header: bool = True,
    thousands: str | None = None,
    units: Sequence[str] = (),
    missing_markers: Sequence[str] | Mapping[str, Sequence[str]] = MARKERS,
    sheet: str | None = None,
) -> list[ColumnSummary]:
    """What each column of a table that has a name holds, in the order of the file. Raises what Table raises."""
    with naming(path):
        reading = Reading(delimiter, decimal, encoding, header, thousands, units, missing_markers, sheet)
        source = open_table(path, reading)
    as_text: set[str] = {name for name, kind in source.kinds.items() if kind not in ("number", "boolean")}
    looked = _look(source, as_text)
    return [seen.summary(source.kinds.get(name)) for name, seen in looked.items()]


def _look(source: Source, as_text: set[str]) -> dict[str, _Seen]:
    while True:
        seen = {name: _Seen(name, source.numerals) for name in source.names}
        turned: set[str] = set()
        for batch in source.batches(source.names, as_text):
            turned |= {name for name, cells in batch.items() if name not in as_text and _is_text(cells)}
            for name, cells in batch.items():
                seen[name].add(cells)
        if not turned:
            return seen
        as_text |= turned


def _is_text(cells: Cells) -> bool:
    """Whether a column must be looked at as text: for numbers of which float64 would merge some, too."""
    return cells.kind == "text" or bool((np.abs(cells.numbers) >= EXACT).any())


@dataclass
class _Seen:
    name: str
    numerals: Numerals
    kinds: set[str] = field(default_factory=set)
    gone: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    dates: bool = True
    numbers: bool = True
    whole: bool = True
    low: float = np.inf
    high: float = -np.inf

    def add(self, cells: Cells) -> None:
        self.kinds.add(cells.kind)
        self.gone.update(cells.gone)
        if cells.kind == "text":
            self.dates = self.dates and all(map(is_date, cells.values))
            self.numbers = self.numbers and all(map(self.numerals.is_number, cells.values))
            if self.numbers and cells.values:
                self._measure(np.array([float(self.numerals.plain(value)) for value in cells.values]))
            counts = np.bincount(cells.codes[cells.codes >= 0], minlength=len(cells.values))
            self._count(dict(zip(cells.values, counts.tolist(), strict=True)))
            return
        numbers = cells.numbers[~np.isnan(cells.numbers)]
        if len(numbers):
            self._measure(numbers)
            if len(self.values) < COUNTED:  # not all are written out: that would take longer than reading them
                for value in dict.fromkeys(numbers.tolist()):
                    self.values[repr(value)] += 1
                    if len(self.values) == COUNTED:
                        break

    def _measure(self, numbers: Any) -> None:
        self.low, self.high = min(self.low, numbers.min()), max(self.high, numbers.max())
        self.whole = self.whole and bool((numbers == np.round(numbers)).all())

    def _count(self, counts: Mapping[str, int]) -> None:
        for value, count in counts.items():
            if len(self.values) < COUNTED or value in self.values:
                self.values[value] += count

    def summary(self, stored: str | None) -> ColumnSummary:
        """What was seen; stored: what the format says that the column holds."""
        text = "text" in self.kinds
        if stored == "date" or (text and self.values and self.dates):
            return self._summary("date", tuple(self.values))
        if stored == "text" or (text and not (self.values and self.numbers)):
            return self._of_text(stored)
        if text:  # whole numbers of which float64 would merge some
            self.values = Counter(map(self.numerals.exact, self.values))
        examples = tuple(value.removesuffix(".0") for value in self.values)
        if "boolean" in self.kinds and "number" not in self.kinds:
            return self._summary("boolean", tuple("true" if value == "1" else "false" for value in examples))
        low, high = (float(self.low), float(self.high)) if self.values else (None, None)
        return self._summary("number", examples, whole=self.whole, low=low, high=high)

    def _summary(self, kind: Kind, examples: tuple[str, ...], **others: Any) -> ColumnSummary:
        missing, distinct = self.gone.total(), len(self.values)
        return ColumnSummary(self.name, kind, missing, distinct, examples[:EXAMPLES], gone=self.gone, **others)

    def _of_text(self, stored: str | None) -> ColumnSummary:
        if stored is not None:
            return self._summary("text", tuple(self.values))
        words = {value: count for value, count in self.values.items() if not self.numerals.is_number(value)}
        few = words if 2 * sum(words.values()) < self.values.total() else {}
        reading = other_numerals(self.values, self.numerals)
        return self._summary("text", tuple(self.values), words=few, reading=reading)
