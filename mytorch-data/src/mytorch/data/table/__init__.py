"""Tables that people bring: CSV, TSV, Parquet and NPZ files."""

from mytorch.data.table.data_set import Table
from mytorch.data.table.errors import ReaderError, TableError, TableWarning
from mytorch.data.table.fill import missing_lines
from mytorch.data.table.inspect import ColumnSummary, inspect_table
from mytorch.data.table.new_rows import cells_of, new_rows

__all__ = [
    "ColumnSummary",
    "ReaderError",
    "Table",
    "TableError",
    "TableWarning",
    "cells_of",
    "inspect_table",
    "missing_lines",
    "new_rows",
]
