"""Reading CSV and its kin with pyarrow, every column as text first, so that a bad cell is found where it stands."""

from __future__ import annotations

import codecs
import csv
import gzip
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

from mytorch.data.table.errors import TableError, shown, told
from mytorch.data.table.numerals import other_numerals
from mytorch.data.table.reading import MARKERS, Reading, proposed
from mytorch.data.table.source import Batch
from mytorch.data.table.text_source import TextSource
from mytorch.plugins import FileError

BLOCK = 4 * 2**20
"""Bytes that are parsed at a time; a row must fit."""
DELIMITERS = (",", ";", "\t", "|")
LINES = 20
"""Rows by which another delimiter is judged."""


class CsvSource(TextSource):
    """A text file with one row a line, packed by gzip or not."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self.packed = path.suffix.lower() == ".gz"
        suffix = Path(path.stem).suffix if self.packed else path.suffix
        self.delimiter = "\t" if suffix.lower() == ".tsv" and reading.delimiter == "," else reading.delimiter
        self._first: list[str] = []
        super().__init__(path, reading, suffix)

    def _names(self) -> list[str]:
        if self._before[1] == 0:
            raise TableError(f"{self.path}: must have {self._needed()}, got an empty file")
        self._first = next((cells for _, cells in self._lines()), [])
        if not self._first:
            raise TableError(f"{self.path}: must have {self._needed()}, got blank lines only")
        if any("\n" in cell for cell in self._first) and next(islice(self._lines(), 1, None), None) is None:
            raise TableError(f"{self.path}: must have {self._needed()}, got one row; is a quote in it left open?")
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
                yield {name: self._cells(name, batch.column(at), name in as_text) for at, name in enumerate(columns)}
        if not seen:
            raise self._without_rows()

    def _open(self, columns: list[str]) -> Any:
        from pyarrow import csv as arrow_csv

        header = self.reading.header
        known = self._written if header else {name: f"f{number}" for number, name in enumerate(self.names)}
        used = [known[name] for name in columns]
        longest = max(BLOCK, 32 * len(self.delimiter.join(self._first).encode()))
        return arrow_csv.open_csv(
            self.path,
            read_options=arrow_csv.ReadOptions(
                encoding=self.reading.encoding, block_size=longest, autogenerate_column_names=not header
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(used, self.pyarrow.string()), include_columns=used
            ),
        )

    def texts(self, columns: list[str]) -> Iterator[list[str]]:
        """The cells as they stand in the file."""
        written = self._first if self.reading.header else self.names
        places = [written.index(self._written[name]) for name in columns]
        for _, cells in islice(self._lines(), 1 if self.reading.header else 0, None):
            yield [cells[place] for place in places]

    # Where things are

    def _lines(self, delimiter: str | None = None) -> Iterator[tuple[int, list[str]]]:
        """Each row that is not blank, with the number of its first line as a text editor counts."""
        with self._reading_errors(), self._text() as file:
            lines = csv.reader(file, delimiter=delimiter or self.delimiter)
            start = 1
            for cells in lines:
                if cells:
                    yield start, cells
                start = lines.line_num + 1

    def _text(self) -> IO[str]:
        encoding = self.reading.encoding
        if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
            encoding = "utf-8-sig"
        if self.packed:
            return cast(IO[str], gzip.open(self.path, "rt", encoding=encoding, newline=""))
        return self.path.open(encoding=encoding, newline="")

    @contextmanager
    def _reading_errors(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise self._undecodable(_bytes_of(error)) from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise TableError(f"{self.path}: must be a whole gzip file, got {told(error)}") from None
        except OSError as error:
            raise FileError(f"{self.path}: must be readable, got {error.strerror or error}") from error
        except csv.Error as error:
            if str(csv.field_size_limit()) in str(error):
                raise self._too_long(f"cells must have at most {csv.field_size_limit()} characters") from None
            raise TableError(f"{self.path}: must be a table of text, got {told(error)}") from None

    def fitting(self) -> dict[str, str]:
        """Another delimiter under which the first rows have equally many cells, several each, and the decimal sign."""
        for other in DELIMITERS:
            try:
                rows = [cells for _, cells in islice(self._lines(other), LINES)]
            except TableError:
                continue
            if other != self.delimiter and len(rows[0]) > 1 and len(set(map(len, rows))) == 1:
                return {"delimiter": other, **self._other_decimal(rows[self.reading.header :])}
        return {}

    def _other_decimal(self, rows: list[list[str]]) -> dict[str, str]:
        """The decimal sign, if it is another one that makes numbers of a column."""
        numerals = replace(self.numerals, decimal_comma=True)
        for column in zip(*rows, strict=True):
            cells = [cell for cell in column if cell.strip() and cell.strip() not in MARKERS]
            if not all(map(self.numerals.is_number, cells)):
                found = other_numerals(cells, numerals)
                if "decimal" in found:
                    return {"decimal": found["decimal"]}
        return {}

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
            raise self._undecodable(_bytes_of(error)) from None
        except (self.pyarrow.ArrowException, OSError, ValueError) as error:
            if isinstance(error, TableError):
                raise
            raise self._explain(error) from None

    def _explain(self, error: Exception) -> TableError:
        text = str(error)
        if self.packed and isinstance(error, OSError):
            return TableError(f"{self.path}: must be a whole gzip file, got {told(error)}")
        if "UTF8" in text or "UTF-8" in text:
            return self._undecodable("bytes that are none")
        if "Expected" in text:
            for line, cells in self._lines():
                if len(cells) != self.width:
                    other = self.fitting()
                    advice = f"or choose {proposed(other)}" if other else "or choose another delimiter"
                    return TableError(
                        f"{self.path}: row {line} must have {self.width} cells, got {len(cells)}, "
                        f"the first {shown(cells[0])}; put a cell with a {self.delimiter!r} in it in quotes, {advice}"
                    )
        if "Empty CSV" in text:
            return self._without_rows()
        if "straddling" in text:
            return self._too_long(f"rows must be shorter than {BLOCK} bytes")
        return TableError(f"{self.path}: must be a table of text, got {told(error)}")

    def _too_long(self, rule: str) -> TableError:
        return TableError(f"{self.path}: {rule}, got more; close the quote that is left open, if there is one")

    def _without_rows(self) -> TableError:
        return TableError(f"{self.path}: must have at least one row below the column names, got none")

    def _undecodable(self, text: str) -> TableError:
        start = b"" if self.packed else _first_bytes(self.path, 2)
        advice = (
            'its first bytes are those of encoding = "utf-16" (--encoding utf-16)'
            if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            else 'if it is text, name its encoding, such as encoding = "latin-1" or "utf-16" (--encoding latin-1)'
        )
        return TableError(f"{self.path}: must be text in {self.reading.encoding}, got {text}; {advice}")


def _first_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def _bytes_of(error: UnicodeError) -> str:
    """What could not be decoded."""
    if isinstance(error, UnicodeDecodeError):
        return f"the byte 0x{error.object[error.start]:02x}, which means nothing there"
    return told(error)
