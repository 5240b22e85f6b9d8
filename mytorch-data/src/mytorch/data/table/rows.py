"""Rows of a table that are in memory, such as those of a request."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mytorch.data.table.errors import TableError
from mytorch.data.table.reading import Reading
from mytorch.data.table.source import Batch
from mytorch.data.table.text_source import TextSource


@dataclass(frozen=True)
class Rows:
    """Rows with a text in each cell, as a CSV file would have them, for `Table` and `new_rows` in place of a path.

    names: of the columns.  cells: a list for each row, in their order.  owner: what errors call it.

    Example:
        >>> from mytorch.data import Table
        >>> from mytorch.data.table.rows import Rows
        >>> Table(Rows(("x", "kind"), [["1.5", "a"], ["2", "b"]]), "kind").inputs
        tensor([[1.5000],
                [2.0000]])
    """

    names: Sequence[str]
    cells: Sequence[Sequence[str]]
    owner: str = "rows"

    def __str__(self) -> str:
        return self.owner


class RowsSource(TextSource):
    """Reads rows in memory."""

    def __init__(self, rows: Rows, reading: Reading) -> None:
        self._rows = rows
        super().__init__(Path(rows.owner), reading, "in-memory")

    def _names(self) -> list[str]:
        return list(self._rows.names)

    def _signature(self) -> tuple[int, int, int]:
        return 0, 0, 0

    def _batches(self, columns: list[str], as_text: Collection[str]) -> Iterator[Batch]:
        rows = self._rows.cells
        if not rows:
            raise TableError(f"{self.path}: must have at least one row, got none")
        self.require_fits(len(rows), len(columns))
        places = [self.names.index(name) for name in columns]
        texts = [self.pyarrow.array([row[place] for row in rows], self.pyarrow.string()) for place in places]
        yield {name: self._cells(name, cells, name in as_text) for name, cells in zip(columns, texts, strict=True)}
