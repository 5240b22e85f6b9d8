"""Reading Parquet with pyarrow."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mytorch.data.table.cells import Cells
from mytorch.data.table.errors import TableError, told
from mytorch.data.table.reading import Reading
from mytorch.data.table.source import MOST_COLUMNS, Batch, Source, pyarrow

ROWS = 65_536
"""Rows that are read at a time."""


class ParquetSource(Source):
    """A Parquet file, which knows the types of its columns."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self.pyarrow = pyarrow(path.suffix)
        super().__init__(path, reading)

    def _names(self) -> list[str]:
        with self._errors(), self._open() as file:
            schema, self._rows = file.schema_arrow, file.metadata.num_rows
        self.kinds = {field.name.strip(): self._kind(field.type) for field in schema}
        return list(schema.names)

    def _open(self) -> Any:
        """The file, unless its header lists more columns than a table may have."""
        from pyarrow import parquet

        return parquet.ParquetFile(self.path, thrift_container_size_limit=MOST_COLUMNS + 1)

    def _kind(self, dtype: Any) -> str:
        types = self.pyarrow.types
        if types.is_dictionary(dtype):
            return self._kind(dtype.value_type)
        if types.is_boolean(dtype):
            return "boolean"
        if types.is_integer(dtype) or types.is_floating(dtype) or types.is_decimal(dtype) or types.is_null(dtype):
            return "number"
        if types.is_string(dtype) or types.is_large_string(dtype):
            return "text"
        return "date" if types.is_temporal(dtype) else str(dtype)

    def _batches(self, columns: list[str], as_text: Collection[str]) -> Iterator[Batch]:
        self.require_fits(self._rows, len(columns))
        seen = 0
        with self._errors(), self._open() as file:
            for batch in file.iter_batches(ROWS, columns=[self._written[name] for name in columns]):
                seen += batch.num_rows
                yield {name: self._cells(name, batch.column(self._written[name]), name in as_text) for name in columns}
        if not seen:
            raise TableError(f"{self.path}: must have at least one row, got none")

    def _cells(self, name: str, cells: Any, as_text: bool) -> Cells:
        from pyarrow import compute

        if self.pyarrow.types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        kind, markers = self._kind(cells.type), self.reading.markers(name)
        if not as_text and kind in ("number", "boolean"):
            if kind == "boolean":
                cells = compute.cast(cells, "int8")
            numbers = compute.cast(cells, "float64", safe=False).to_numpy(zero_copy_only=False)
            return Cells.of_numbers(numbers, "boolean" if kind == "boolean" else "number", markers)
        if kind not in ("number", "boolean", "text", "date"):
            return Cells.of_text(np.zeros(len(cells), np.int32), [kind], markers)
        coded = compute.cast(cells, "string").dictionary_encode()
        codes = compute.fill_null(coded.indices, -1)
        return Cells.of_text(np.asarray(codes), coded.dictionary.to_pylist(), markers)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (self.pyarrow.ArrowException, OSError, ValueError) as error:
            if isinstance(error, TableError):
                raise
            if "size limit" in str(error):
                raise TableError(
                    f"{self.path}: must have at most {MOST_COLUMNS} columns and groups of rows, got more; "
                    "keep those that matter"
                ) from None
            raise TableError(f"{self.path}: must be a whole Parquet file, got {told(error)}") from None
