"""Reading CSV and its kin with pyarrow, every column as text first, so that a bad cell is found where it stands."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mytorch.data.table.cells import Cells
from mytorch.data.table.errors import TableError, shown
from mytorch.data.table.reading import Reading
from mytorch.data.table.source import Batch, Source, pyarrow
from mytorch.plugins import FileError

BLOCK = 4 * 2**20
"""Bytes that are parsed at a time; a row must fit."""


class CsvSource(Source):
    """A text file with one row a line."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self.reading, self.decimal = reading, reading.decimal
        self.delimiter = "\t" if path.suffix.lower() == ".tsv" and reading.delimiter == "," else reading.delimiter
        self.pyarrow = pyarrow(path.suffix)
        self._first: list[str] = []
        super().__init__(path)

    def _names(self) -> list[str]:
        if self._before[1] == 0:
            raise TableError(f"{self.path}: must have {self._needed()}, got an empty file")
        self._first = next((cells for _, cells in self._lines()), [])
        if not self._first:
            raise TableError(f"{self.path}: must have {self._needed()}, got blank lines only")
        if any("\0" in cell for cell in self._first):
            raise TableError(
                f"{self.path}: must be a text file, got NUL bytes; is it one? "
                'A text file of Windows may need encoding = "utf-16"'
            )
        return self._first if self.reading.header else [f"x{number}" for number in range(len(self._first))]

    def _needed(self) -> str:
        return "a line of column names and rows below it" if self.reading.header else "rows"

    def _batches(self, columns: list[str], as_text: Collection[str]) -> Iterator[Batch]:
        with self._errors():
            reader = self._open(columns)
            seen = 0
            for batch in reader:
                seen += batch.num_rows
                yield {name: self._cells(batch.column(at), name in as_text) for at, name in enumerate(columns)}
        if not seen:
            raise TableError(f"{self.path}: must have at least one row below the column names, got none")

    def _open(self, columns: list[str]) -> Any:
        from pyarrow import csv as arrow_csv

        header = self.reading.header
        names = self.names if header else [f"f{number}" for number in range(len(self.names))]
        physical = dict(zip(self.names, names, strict=True))
        used = [physical[name] for name in columns]
        longest = max(BLOCK, 32 * len(self.delimiter.join(self._first).encode()))
        return arrow_csv.open_csv(
            self.path,
            read_options=arrow_csv.ReadOptions(
                encoding=self.reading.encoding, block_size=longest, autogenerate_column_names=not header
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, self.pyarrow.string()), include_columns=used
            ),
        )

    def _cells(self, cells: Any, as_text: bool) -> Cells:
        if not as_text and (numbers := self._numbers(cells)) is not None:
            return Cells("number", numbers=numbers)
        coded = cells.dictionary_encode()
        return Cells.of_text(np.asarray(coded.indices), coded.dictionary.to_pylist(), as_text)

    def _numbers(self, cells: Any) -> Any:
        """The cells as float64, or None if one is no number. Clean columns, which are most, take one cast."""
        from pyarrow import compute

        if self.decimal == ",":
            cells = compute.replace_substring(cells, ".", "?")  # 1.234 would be read as 1.234 where it means 1234
            cells = compute.replace_substring(cells, ",", ".")
        try:
            return np.asarray(compute.cast(cells, "float64"))
        except self.pyarrow.ArrowInvalid:
            cells = compute.utf8_trim_whitespace(cells)
        from mytorch.data.table.cells import MISSING

        gone = compute.is_in(cells, value_set=self.pyarrow.array(sorted(MISSING)))
        cells = compute.if_else(gone, self.pyarrow.scalar(None, self.pyarrow.string()), cells)
        if cells.null_count == len(cells):
            return None
        try:
            return compute.cast(cells, "float64").to_numpy(zero_copy_only=False)
        except self.pyarrow.ArrowInvalid:
            return None

    # Where things are

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Each row that is not blank, with the number of its first line as a text editor counts."""
        encoding = self.reading.encoding
        if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
            encoding = "utf-8-sig"
        try:
            with self.path.open(encoding=encoding, newline="") as file:
                lines = csv.reader(file, delimiter=self.delimiter)
                start = 1
                for cells in lines:
                    if cells:
                        yield start, cells
                    start = lines.line_num + 1
        except UnicodeError as error:
            raise self._undecodable(str(error)) from None
        except OSError as error:
            raise FileError(f"{self.path}: must be readable, got {error.strerror or error}") from error
        except csv.Error as error:
            raise TableError(f"{self.path}: must be a table of text, got {error}") from None

    def row(self, index: int) -> int:
        """The number of the line, as a text editor counts."""
        wanted = index + (1 if self.reading.header else 0)
        try:
            for number, (line, _) in enumerate(self._lines()):
                if number == wanted:
                    return line
        except TableError:  # what the other reader could read; the line is then a guess
            pass
        return wanted + 1

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise self._undecodable(str(error)) from None
        except (self.pyarrow.ArrowException, OSError, ValueError) as error:
            if isinstance(error, TableError):
                raise
            raise self._explain(str(error)) from None

    def _explain(self, told: str) -> TableError:
        if "UTF8" in told or "UTF-8" in told:
            return self._undecodable("bytes that are none")
        if "Expected" in told:
            for line, cells in self._lines():
                if len(cells) != len(self.names):
                    return TableError(
                        f"{self.path}: row {line} must have {len(self.names)} cells, got {len(cells)}, "
                        f"the first {shown(cells[0])}; put a cell with a {self.delimiter!r} in it in quotes, "
                        "or choose another delimiter"
                    )
        if "straddling" in told:
            return TableError(f"{self.path}: rows must be shorter than {BLOCK} bytes; is a quote left open?")
        return TableError(f"{self.path}: must be a table of text, got {told.splitlines()[0]}")

    def _undecodable(self, told: str) -> TableError:
        return TableError(
            f"{self.path}: must be text in {self.reading.encoding}, got {told}; "
            'if it is a text file, name its encoding, such as encoding = "latin-1" or "utf-16"'
        )
