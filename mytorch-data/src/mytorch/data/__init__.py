"""Data sets: tensors in memory, the disk, seeded splits, standardisation and CSV files."""

from mytorch.data.csv_file import write_csv
from mytorch.data.disk import Disk
from mytorch.data.split import Rows, split
from mytorch.data.standardize import Standardize, Standardized
from mytorch.data.tensor_data_set import TensorDataSet

__all__ = ["Disk", "Rows", "Standardize", "Standardized", "TensorDataSet", "split", "write_csv"]
