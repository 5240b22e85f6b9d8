"""Reading the arrays that numpy.savez wrote."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mytorch.data.npy_header import read_header
from mytorch.data.table.cells import Array, Cells
from mytorch.data.table.errors import TableError, cut, listed, shown, told
from mytorch.data.table.reading import Reading
from mytorch.data.table.source import Batch, Source, require_columns

ROWS = 65_536
_DAMAGED = (zipfile.BadZipFile, zlib.error)
_KINDS = {"b": "boolean", "i": "number", "u": "number", "f": "number", "U": "text", "M": "date", "m": "date"}


class NpzSource(Source):
    """Arrays by name: one with one axis is a column, "x" with two becomes the columns x0, x1 and so on."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self._columns: dict[str, Array] = {}
        super().__init__(path, reading)

    def _names(self) -> list[str]:
        names: list[str] = []
        self._require_size()
        with self._errors(), self.path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise TableError(f"{self.path}: must be an NPZ file with named arrays, got a single array")
            arrays = {name: file[name] for name in file.files}
        for name, array in arrays.items():
            if array.ndim not in (1, 2):
                raise TableError(
                    f"{self.path}: array {shown(name)} must have one or two axes, got shape {array.shape}"
                )
            parts = {name: array} if array.ndim == 1 else {f"{name}{at}": part for at, part in enumerate(array.T)}
            names += parts
            self._columns |= parts
        self._require_rows()
        self.kinds = {
            name.strip(): _KINDS.get(part.dtype.kind, str(part.dtype)) for name, part in self._columns.items()
        }
        return names

    def _require_size(self) -> None:
        """Judge the headers of the arrays: what they declare must be in the file, and fit into memory."""
        rows = columns = stored = 0
        with self._errors(), zipfile.ZipFile(self.path) as packed:
            for member in packed.infolist():
                shape, size = _declared(packed, member)
                if size > member.file_size:
                    raise TableError(
                        f"{self.path}: array {shown(member.filename.removesuffix('.npy'))} must be whole, "
                        f"got {member.file_size} bytes where its shape {cut(str(shape))} needs {size}"
                    )
                rows, stored = max(rows, *shape[:1], 0), stored + size
                columns += shape[1] if len(shape) > 1 else 1
        require_columns(self.path, columns)
        self.require_fits(rows, columns, stored)

    def _require_rows(self) -> None:
        lengths = {name: len(column) for name, column in self._columns.items()}
        if len(set(lengths.values())) > 1:
            lengths_told = listed(f"{name}: {rows}" for name, rows in lengths.items())
            raise TableError(f"{self.path}: every array must have the same number of rows, got {lengths_told}")
        if not sum(lengths.values()):
            raise TableError(f"{self.path}: must have at least one row, got none")

    def _batches(self, columns: list[str], as_text: Collection[str]) -> Iterator[Batch]:
        arrays = {name: self._columns[self._written[name]] for name in columns}
        for at in range(0, len(arrays[columns[0]]), ROWS):
            yield {name: self._cells(name, array[at : at + ROWS], name in as_text) for name, array in arrays.items()}

    def _cells(self, name: str, part: Array, as_text: bool) -> Cells:
        kind, markers = self.kinds[name], self.reading.markers(name)
        if kind in ("number", "boolean") and not as_text:
            return Cells.of_numbers(part.astype(np.float64), "boolean" if kind == "boolean" else "number", markers)
        if kind not in ("number", "boolean", "text", "date"):
            return Cells.of_text(np.zeros(len(part), np.int32), [kind], markers)
        if part.dtype.kind == "M":
            part = part.astype("datetime64[s]")
        values, codes = np.unique(part, return_inverse=True)
        texts = [str(value).lower() if kind == "boolean" else str(value) for value in values]
        return Cells.of_text(codes, [text if text != "NaT" else "" for text in texts], markers)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, EOFError, KeyError, NotImplementedError, RuntimeError, *_DAMAGED) as error:
            if isinstance(error, TableError):
                raise
            raise TableError(
                f"{self.path}: must be a whole NPZ file with arrays of plain types, got {told(error)}"
            ) from None


def _declared(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[tuple[int, ...], int]:
    """The shape of an array and its bytes, as its header has them; nothing for what is no array."""
    with packed.open(member) as file:
        header = read_header(file)  # type: ignore[arg-type]
        return ((), 0) if header is None else (header.shape, header.size)
