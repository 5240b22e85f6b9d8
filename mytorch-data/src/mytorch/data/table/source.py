"""What the readers of all formats have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mytorch.data.table.cells import Cells
from mytorch.data.table.errors import ReaderError, TableError, listed
from mytorch.plugins import FileError

Batch = Mapping[str, Cells]


class Source(ABC):
    """A table in a file, read a batch of rows at a time.

    names: of all columns, in the order of the file.
    kinds: what each column holds where the format says so: "number", "boolean", "text", "date" or what else it is.
    """

    kinds: Mapping[str, str]
    decimal = "."

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kinds = {}
        self._before = _signature(path)
        self.names = self._checked(self._names())

    @abstractmethod
    def _names(self) -> list[str]:
        """The names of all columns."""

    @abstractmethod
    def _batches(self, columns: list[str], as_text: Collection[str]) -> Iterator[Batch]:
        """The cells of some columns; those in `as_text` come as text whatever they hold."""

    def row(self, index: int) -> int:
        """The number under which a user finds a row, from 1."""
        return index + 1

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
        if _signature(self.path) != self._before:
            raise TableError(f"{self.path}: must stay as it is while it is read, got a change; read it again")

    def cell(self, index: int, column: str) -> str:
        """Where a cell is, for a message."""
        return f"{self.path}: row {self.row(index)}, column {column!r}"

    def _checked(self, names: list[str]) -> list[str]:
        if unnamed := [str(number) for number, name in enumerate(names, 1) if not name.strip()]:
            raise TableError(
                f"{self.path}: every column must have a name, got none for column {listed(unnamed)}; "
                "name it in the first line (a row number that pandas wrote is left out by to_csv(index=False))"
            )
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            places = [number for number, name in enumerate(names, 1) if name == twice[0]]
            raise TableError(
                f"{self.path}: columns must have different names, got {twice[0]!r} for columns {listed(places)}"
            )
        return names


def _signature(path: Path) -> tuple[int, int, int]:
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
