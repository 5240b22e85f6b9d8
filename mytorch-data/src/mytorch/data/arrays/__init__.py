"""Arrays in files."""

from mytorch.data.arrays.data_set import Arrays

__all__ = ["Arrays"]
