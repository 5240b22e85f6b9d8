"""What the readers of cells of text have in common."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from mytorch.data.table.arrow_numbers import numbers_of
from mytorch.data.table.cells import Cells
from mytorch.data.table.errors import TableError, shown
from mytorch.data.table.reading import Reading
from mytorch.data.table.source import Source, pyarrow


class TextSource(Source):
    """A table in which every cell is a text, which may be a number."""

    def __init__(self, path: Path, reading: Reading, suffix: str) -> None:
        self.pyarrow = pyarrow(suffix)
        self._unit_of: dict[str, str] = {}
        super().__init__(path, reading)

    def _cells(self, name: str, cells: Any, as_text: bool) -> Cells:
        markers = self.reading.markers(name)
        if not as_text and (found := numbers_of(cells, self.numerals, markers)) is not None:
            self._require_one_unit(name, found.units)
            return Cells("number", numbers=found.numbers, gone=found.gone)
        coded = cells.dictionary_encode()
        return Cells.of_text(np.asarray(coded.indices), coded.dictionary.to_pylist(), markers, as_text)

    def _require_one_unit(self, name: str, units: Collection[str]) -> None:
        """Raise TableError for a column in which amounts of several units stand."""
        seen = sorted({*units, *([self._unit_of[name]] if name in self._unit_of else [])})
        if len(seen) > 1:
            raise TableError(
                f"{self.path}: column {shown(name)} must have one unit, got {' and '.join(map(shown, seen))}; "
                "convert its numbers to one of them first, or leave the column out of features"
            )
        if seen:
            self._unit_of[name] = seen[0]
