"""Data sets: tensors in memory, tables, arrays and images in files, generated ones, splits, and standardisation."""

from mytorch.data.arrays import Arrays
from mytorch.data.csv_file import write_csv
from mytorch.data.generated import (
    XOR,
    AddingProblem,
    Circles,
    Copying,
    Disk,
    Gaussians,
    Moons,
    Shapes,
    SineMixtures,
    Spirals,
)
from mytorch.data.images import Augmented, Digits, ImageError, ImageFolder
from mytorch.data.preparation import EncodedTargets, Standardize, Standardized, StandardizedTargets
from mytorch.data.sequences import RaggedDataSet, Sequences
from mytorch.data.series import Windows
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
from mytorch.data.text import TextFile
from mytorch.data.transforms import Parts, hold_out

__all__ = [
    "XOR",
    "AddingProblem",
    "Arrays",
    "Augmented",
    "Circles",
    "ColumnSummary",
    "Copying",
    "Digits",
    "Disk",
    "EncodedTargets",
    "Gaussians",
    "ImageError",
    "ImageFolder",
    "Moons",
    "Parts",
    "RaggedDataSet",
    "ReaderError",
    "Sequences",
    "Shapes",
    "SineMixtures",
    "Spirals",
    "SplitWarning",
    "Standardize",
    "Standardized",
    "StandardizedTargets",
    "Table",
    "TableError",
    "TableWarning",
    "TensorDataSet",
    "TextFile",
    "Windows",
    "hold_out",
    "inspect_table",
    "missing_lines",
    "new_rows",
    "split",
    "write_csv",
]
