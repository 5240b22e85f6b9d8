"""Which reader reads a file."""

from __future__ import annotations

import re
from pathlib import Path

from mytorch.data.table.csv_source import CsvSource
from mytorch.data.table.errors import LONGEST, TableError
from mytorch.data.table.excel_source import ExcelSource
from mytorch.data.table.npz_source import NpzSource
from mytorch.data.table.parquet_source import ParquetSource
from mytorch.data.table.reading import Reading
from mytorch.data.table.rows import Rows, RowsSource
from mytorch.data.table.source import Source
from mytorch.plugins import FileError, cut, nearest

TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
SUFFIXES = (*TEXT, ".parquet", ".npz", ".xlsx")
SHEETS = (".xls", ".xlsm", ".xlsb", ".ods")
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/+(.*)", re.DOTALL)


def open_table(path: str | Path | Rows, reading: Reading) -> Source:
    """The reader of a file, chosen by its suffix, or of rows in memory.

    Raises FileError if there is none, TableError for what is no table, ReaderError without the library that reads it.
    """
    if isinstance(path, Rows):
        return RowsSource(path, reading)
    require_file(path)
    path = Path(path)
    suffix = table_suffix(path)
    if suffix in TEXT:
        return CsvSource(path, reading)
    if suffix == ".parquet":
        return ParquetSource(path, reading)
    if suffix == ".npz":
        return NpzSource(path, reading)
    if suffix == ".xlsx":
        return ExcelSource(path, reading)
    if suffix in SHEETS:
        raise TableError(f"{path}: a spreadsheet must be saved as .xlsx or .csv to be read, got {suffix}")
    raise TableError(f"{path}: a table's name must end in {', '.join(SUFFIXES)}, got {suffix or 'no suffix'!r}")


def table_suffix(path: Path) -> str:
    """What a file's name says of its format, such as ".csv", and ".csv.gz" for a packed one."""
    last = path.suffix.lower()
    return Path(path.stem).suffix.lower() + last if last == ".gz" else last


def require_file(path: str | Path) -> None:
    """Raise FileError unless there is a file to be read: neither an address nor a folder."""
    refuse_address(path)
    path = Path(path)
    if path.is_dir():
        raise FileError(f"{path}: must be a file, got a folder; name a file in it")
    if path.is_file():
        return
    if path.exists():
        raise FileError(f"{path}: must be a file, got something else")
    there = [file.name for file in path.parent.glob("*") if table_suffix(file) in SUFFIXES]
    raise FileError(f"{path}: must be a file, got no such file. {nearest(path.name, there) if there else ''}".strip())


def is_address(path: str | Path) -> bool:
    """Whether a path is an address such as https://example.com/iris.csv."""
    return _ADDRESS.fullmatch(str(path)) is not None


def refuse_address(path: str | Path) -> None:
    """Raise FileError for an address in place of a file."""
    if found := _ADDRESS.fullmatch(str(path)):
        whole = cut(f"{found[1]}://{found[2]}", LONGEST)  # a Path has lost a slash
        raise FileError(
            f"{whole}: must be a file of this computer, got an address; download it first, for example by: "
            f"curl -LO {whole}"
        )
