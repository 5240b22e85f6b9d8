"""Which reader reads a file."""

from __future__ import annotations

from pathlib import Path

from mytorch.data.table.csv_source import CsvSource
from mytorch.data.table.errors import TableError
from mytorch.data.table.npz_source import NpzSource
from mytorch.data.table.parquet_source import ParquetSource
from mytorch.data.table.reading import Reading
from mytorch.data.table.source import Source
from mytorch.plugins import FileError, nearest

TEXT, SUFFIXES = (".csv", ".tsv", ".txt"), (".csv", ".tsv", ".txt", ".parquet", ".npz")


def open_table(path: str | Path, reading: Reading) -> Source:
    """The reader of a file, chosen by its suffix.

    Raises FileError if there is none, TableError for what is no table, ReaderError without the library that reads it.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    _require_file(path)
    if suffix in TEXT:
        return CsvSource(path, reading)
    if suffix == ".parquet":
        return ParquetSource(path)
    if suffix == ".npz":
        return NpzSource(path)
    raise TableError(f"{path}: a table's name must end in {', '.join(SUFFIXES)}, got {path.suffix or 'no suffix'!r}")


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise FileError(f"{path}: must be a file, got a folder; name a file in it")
    if path.is_file():
        return
    if path.exists():
        raise FileError(f"{path}: must be a file, got something else")
    there = [file.name for file in path.parent.glob("*") if file.suffix.lower() in SUFFIXES]
    raise FileError(f"{path}: must be a file, got no such file. {nearest(path.name, there) if there else ''}".strip())
