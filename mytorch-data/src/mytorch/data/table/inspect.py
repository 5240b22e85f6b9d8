"""Looking at a file's columns before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from mytorch.data.table.cells import Cells, is_date
from mytorch.data.table.open_table import open_table
from mytorch.data.table.reading import Reading
from mytorch.data.table.source import Source

COUNTED = 1000
"""Different values are counted up to here."""
EXAMPLES = 5


@dataclass(frozen=True)
class ColumnSummary:
    """What a column holds.

    missing: cells without a value.  distinct: different values, counted up to 1000.  examples: the first of them.
    whole: whether all numbers are whole.  low, high: the range of numbers, else None.
    """

    name: str
    kind: Literal["number", "text", "date", "boolean"]
    missing: int
    distinct: int
    examples: tuple[str, ...]
    whole: bool = False
    low: float | None = None
    high: float | None = None


def inspect_table(
    path: str | Path, delimiter: str = ",", decimal: str = ".", encoding: str = "utf-8", header: bool = True
) -> list[ColumnSummary]:
    """What each column of a table holds, in the order of the file. Raises what Table raises for a file."""
    source = open_table(path, Reading(delimiter, decimal, encoding, header))
    as_text: set[str] = {name for name, kind in source.kinds.items() if kind not in ("number", "boolean")}
    looked = _look(source, as_text)
    return [seen.summary(source.kinds.get(name)) for name, seen in looked.items()]


def _look(source: Source, as_text: set[str]) -> dict[str, _Seen]:
    while True:
        seen = {name: _Seen(name) for name in source.names}
        turned: set[str] = set()
        for batch in source.batches(source.names, as_text):
            turned |= {name for name, cells in batch.items() if cells.kind == "text" and name not in as_text}
            for name, cells in batch.items():
                seen[name].add(cells)
        if not turned:
            return seen
        as_text |= turned


@dataclass
class _Seen:
    name: str
    kinds: set[str] = field(default_factory=set)
    missing: int = 0
    values: dict[str, None] = field(default_factory=dict)
    dates: bool = True
    whole: bool = True
    low: float = np.inf
    high: float = -np.inf

    def add(self, cells: Cells) -> None:
        self.kinds.add(cells.kind)
        if cells.kind == "text":
            self.missing += int((cells.codes < 0).sum())
            self.dates = self.dates and all(map(is_date, cells.values))
            self._add_values(cells.values)
            return
        numbers = cells.numbers[~np.isnan(cells.numbers)]
        self.missing += len(cells.numbers) - len(numbers)
        if len(numbers):
            self.low, self.high = min(self.low, numbers.min()), max(self.high, numbers.max())
            self.whole = self.whole and bool((numbers == np.round(numbers)).all())
            if len(self.values) < COUNTED:
                self._add_values([f"{value:.12g}" for value in dict.fromkeys(numbers.tolist())])

    def _add_values(self, values: list[str]) -> None:
        for value in values:
            if len(self.values) >= COUNTED:
                return
            self.values[value] = None

    def summary(self, stored: str | None) -> ColumnSummary:
        distinct, examples = len(self.values), tuple(self.values)[:EXAMPLES]
        if stored == "date" or ("text" in self.kinds and self.values and self.dates):
            return ColumnSummary(self.name, "date", self.missing, distinct, examples)
        if "text" in self.kinds:
            return ColumnSummary(self.name, "text", self.missing, distinct, examples)
        if "boolean" in self.kinds and "number" not in self.kinds:
            names = tuple("true" if value == "1" else "false" for value in examples)
            return ColumnSummary(self.name, "boolean", self.missing, distinct, names)
        low, high = (float(self.low), float(self.high)) if self.values else (None, None)
        return ColumnSummary(self.name, "number", self.missing, distinct, examples, self.whole, low, high)
