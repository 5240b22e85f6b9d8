"""Data sets: tensors in memory, tables in files, the disk, seeded and stratified splits, and standardisation."""

from mytorch.data.csv_file import write_csv
from mytorch.data.disk import Disk
from mytorch.data.preparation import EncodedTargets, Standardize, Standardized, StandardizedTargets
from mytorch.data.split import SplitWarning, split
from mytorch.data.table import (
    ColumnSummary,
    ReaderError,
    Table,
    TableError,
    TableWarning,
    inspect_table,
    missing_lines,
    new_rows,
)
from mytorch.data.tensor_data_set import TensorDataSet
from mytorch.data.transforms import Parts, hold_out

__all__ = [
    "ColumnSummary",
    "Disk",
    "EncodedTargets",
    "Parts",
    "ReaderError",
    "SplitWarning",
    "Standardize",
    "Standardized",
    "StandardizedTargets",
    "Table",
    "TableError",
    "TableWarning",
    "TensorDataSet",
    "hold_out",
    "inspect_table",
    "missing_lines",
    "new_rows",
    "split",
    "write_csv",
]
