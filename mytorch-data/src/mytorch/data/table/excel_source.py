"""Reading a sheet of an Excel file with openpyxl."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np

from mytorch.data.table.cells import Cells
from mytorch.data.table.errors import ReaderError, TableError, listed, shown, told
from mytorch.data.table.numerals import number_name
from mytorch.data.table.reading import Reading
from mytorch.data.table.source import Batch, Source
from mytorch.plugins import MytorchError, nearest, require_memory

_KINDS = {bool: "boolean", int: "number", float: "number", datetime: "date", date: "date", time: "date"}


class ExcelSource(Source):
    """A sheet whose first row that is not blank names the columns; formulas have the values that were saved."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self._columns: list[list[Any]] = []
        self._rows: list[int] = []
        super().__init__(path, reading)

    def _names(self) -> list[str]:
        rows = list(self._read())
        if not rows:
            raise TableError(f"{self.path}: must have a row of column names and rows below it, got an empty sheet")
        width = max(len(cells) for _, cells in rows)
        padded = [(row, [*cells, *[None] * (width - len(cells))]) for row, cells in rows]
        names = (
            [_text(cell) for cell in padded.pop(0)[1]] if self.reading.header else [f"x{at}" for at in range(width)]
        )
        if not padded:
            raise TableError(f"{self.path}: must have at least one row below the column names, got none")
        self._rows = [row for row, _ in padded]
        columns = dict(enumerate(map(list, zip(*(cells for _, cells in padded), strict=True))))
        used = [at for at in columns if names[at].strip() or any(cell is not None for cell in columns[at])]
        self._columns = [columns[at] for at in used]
        return [names[at] for at in used]

    def _checked(self, written: list[str]) -> dict[str, str]:
        checked = super()._checked(written)
        self._cells_of = dict(zip(map(str.strip, written), self._columns, strict=True))
        self.kinds = {name: kind for name in checked if (kind := _kind(self._cells_of[name]))}
        return checked

    def _read(self) -> Iterator[tuple[int, list[Any]]]:
        """Each row that is not blank, with its number."""
        with self._errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions that do not matter here
            with zipfile.ZipFile(self.path) as packed:
                size = sum(member.file_size for member in packed.infolist())
            require_memory(str(self.path), "what is packed in it", size, "save the sheet as CSV and use that file")
            book = _openpyxl().load_workbook(self.path, read_only=True, data_only=True)
            try:
                sheet = self._sheet(book)
                sheet.reset_dimensions()
                for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
                    if any(cell is not None for cell in cells):
                        yield number, list(cells)
            finally:
                book.close()

    def _sheet(self, book: Any) -> Any:
        names, wanted = [sheet.title for sheet in book.worksheets], self.reading.sheet
        if wanted is None and len(names) > 1:
            raise TableError(
                f"{self.path}: the sheet to read must be named, got {len(names)}: {listed(map(shown, names))}; "
                f"choose by sheet = {shown(names[0])}"
            )
        if wanted is not None and wanted not in names:
            raise TableError(
                f"{self.path}: sheet must be one of the file, got {shown(wanted)}. {nearest(wanted, names)}"
            )
        return book.worksheets[0 if wanted is None else names.index(wanted)]

    def row(self, index: int) -> int:
        """The number of the row in the sheet."""
        return self._rows[index]

    def _batches(self, columns: list[str], as_text: Collection[str]) -> Iterator[Batch]:
        yield {name: self._cells(name, name in as_text) for name in columns}

    def _cells(self, name: str, as_text: bool) -> Cells:
        cells, kind, markers = self._cells_of[name], self.kinds.get(name), self.reading.markers(name)
        if kind in ("number", "boolean") and not as_text:
            numbers = np.array([np.nan if cell is None else float(cell) for cell in cells])
            return Cells.of_numbers(numbers, "boolean" if kind == "boolean" else "number", markers)
        texts = [_text(cell).strip() for cell in cells]
        values = list(dict.fromkeys(texts))
        place = {value: code for code, value in enumerate(values)}
        found = Cells.of_text(np.array([place[text] for text in texts]), values, markers, as_text or kind == "date")
        if found.kind != "text" or as_text or not all(map(self.numerals.is_number, found.values)):
            return found
        numbers = np.array([*(float(self.numerals.plain(value)) for value in found.values), np.nan])[found.codes]
        return Cells("number", numbers=numbers, gone=found.gone)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except MytorchError:
            raise
        except Exception as error:  # the library checks little of what it is given
            raise TableError(f"{self.path}: must be a whole Excel file, got {told(error)}") from None


def _openpyxl() -> Any:
    try:
        import openpyxl
    except ImportError as error:
        raise ReaderError(
            "Table: openpyxl, which reads .xlsx files, is not installed. "
            "Install: python -m pip install './mytorch-data[excel]'; or save the sheet as CSV"
        ) from error
    return openpyxl


def _kind(cells: list[Any]) -> str | None:
    """What all cells of a column hold; None for text, and for cells of several kinds."""
    kinds = {_KINDS.get(type(cell)) for cell in cells if cell is not None}
    return kinds.pop() if len(kinds) == 1 else None


def _text(cell: Any) -> str:
    """A cell as text, dates and numbers as they are written in a text file."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, (int, float)):
        return str(cell) if isinstance(cell, int) else number_name(cell)
    return cell.isoformat() if isinstance(cell, (date, time)) else str(cell)
