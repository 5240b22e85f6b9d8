"""Data sets: tensors in memory, tables in files, the disk, seeded splits and standardisation."""

from mytorch.data.csv_file import write_csv
from mytorch.data.disk import Disk
from mytorch.data.split import Rows, split
from mytorch.data.standardize import Standardize, Standardized
from mytorch.data.table import ColumnSummary, ReaderError, Table, TableError, TableWarning, inspect_table, new_rows
from mytorch.data.tensor_data_set import TensorDataSet

__all__ = [
    "ColumnSummary",
    "Disk",
    "ReaderError",
    "Rows",
    "Standardize",
    "Standardized",
    "Table",
    "TableError",
    "TableWarning",
    "TensorDataSet",
    "inspect_table",
    "new_rows",
    "split",
    "write_csv",
]
