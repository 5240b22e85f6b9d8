"""What the readers of all formats have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mytorch.data.table.cells import Cells
from mytorch.data.table.errors import ReaderError, TableError, listed, shown
from mytorch.data.table.reading import Reading
from mytorch.plugins import FileError, require_memory

Batch = Mapping[str, Cells]
NUMBER = 8
"""Bytes of a number."""
MOST_COLUMNS = 100_000
"""With more, nobody reads what is said of them, and the names alone take long."""


class Source(ABC):
    """A table in a file, read a batch of rows at a time.

    names: of all columns that have one, in the order of the file, without spaces around them.
    unnamed: the places, from 1, of the columns without a name.
    kinds: what each column holds where the format says so: "number", "boolean", "text", "date" or what else it is.
    """

    kinds: Mapping[str, str]

    def __init__(self, path: Path, reading: Reading) -> None:
        self.path, self.reading, self.numerals = path, reading, reading.numerals
        self.kinds = {}
        self.unnamed: list[int] = []
        self._before = self._signature()
        written = self._names()
        self.width = len(written)
        self._written = self._checked(written)
        self.names = list(self._written)

    @abstractmethod
    def _names(self) -> list[str]:
        """The names of all columns, as they are written."""

    @abstractmethod
    def _batches(self, columns: list[str], as_text: Collection[str]) -> Iterator[Batch]:
        """The cells of some columns; those in `as_text` come as text whatever they hold."""

    def texts(self, columns: list[str]) -> Iterator[list[str]]:
        """The cells of some columns as text, a row at a time; one without a value is empty."""
        for batch in self.batches(columns, columns):
            values = [[*batch[name].values, ""] for name in columns]  # the last is that of code -1
            for row in zip(*(batch[name].codes.tolist() for name in columns), strict=True):
                yield [known[code] for known, code in zip(values, row, strict=True)]

    def row(self, index: int) -> int:
        """The number under which a user finds a row, from 1."""
        return index + 1

    def fitting(self) -> dict[str, str]:
        """The delimiter, and decimal sign, under which every row has equally many cells; empty if there is none."""
        return {}

    def batches(self, columns: list[str], as_text: Collection[str] = ()) -> Iterator[Batch]:
        """The cells of some columns, batch by batch. Raises TableError if the file changes meanwhile."""
        try:
            yield from self._batches(columns, as_text)
        except TableError:
            self.require_unchanged()  # the likelier reason
            raise
        self.require_unchanged()

    def require_unchanged(self) -> None:
        """Raise TableError if the file is not the one that was opened."""
        if self._signature() != self._before:
            raise TableError(f"{self.path}: must stay as it is while it is read, got a change; read it again")

    def _signature(self) -> tuple[int, int, int]:
        """What tells whether it is still the table that was opened. Raises FileError if it cannot be read."""
        return signature(self.path)

    def require_fits(self, rows: int, columns: int, stored: int = 0) -> None:
        """Raise ArgumentError unless so many numbers, and the bytes as they are stored, fit into memory."""
        remedy = "read fewer columns by features, or fewer rows"
        require_memory(str(self.path), f"{rows} rows of {columns} columns", rows * columns * NUMBER + stored, remedy)

    def cell(self, index: int, column: str) -> str:
        """Where a cell is, for a message."""
        return f"{self.path}: row {self.row(index)}, column {shown(column)}"

    def _checked(self, written: list[str]) -> dict[str, str]:
        """The name of each column without spaces around it, and as it is written."""
        require_columns(self.path, len(written))
        names = [name.strip() for name in written]
        self.unnamed = [number for number, name in enumerate(names, 1) if not name]
        if len(self.unnamed) == len(names):
            raise TableError(
                f"{self.path}: columns must have names, got none for column {listed(self.unnamed)}; "
                "name them in the first line, or read the file with header = false"
            )
        if twice := [name for name, count in Counter(names).items() if count > 1 and name]:
            places = [number for number, name in enumerate(names, 1) if name == twice[0]]
            spaces = "; spaces around a name do not count" if len({written[at - 1] for at in places}) > 1 else ""
            raise TableError(
                f"{self.path}: columns must have different names, got {shown(twice[0])} for columns "
                f"{listed(places)}{spaces}"
            )
        return {name: as_written for name, as_written in zip(names, written, strict=True) if name}


def require_columns(path: Path, count: int) -> None:
    """Raise TableError for more columns than a table may have."""
    if count > MOST_COLUMNS:
        raise TableError(
            f"{path}: must have at most {MOST_COLUMNS} columns, got {count}; keep those that matter, or swap "
            "rows and columns"
        )


def signature(path: Path) -> tuple[int, int, int]:
    """What tells whether a file is still the one that was opened. Raises FileError if it cannot be read."""
    try:
        found = path.stat()
    except OSError as error:
        raise FileError(f"{path}: must be readable, got {error.strerror or error}") from error
    return found.st_ino, found.st_size, found.st_mtime_ns


def pyarrow(suffix: str) -> Any:
    """The library that reads tables, imported when it is needed."""
    try:
        import pyarrow
    except ImportError as error:
        raise ReaderError(
            f"Table: pyarrow, which reads {suffix} files, is not installed. "
            "Install: python -m pip install './mytorch-data[tables]'"
        ) from error
    return pyarrow
