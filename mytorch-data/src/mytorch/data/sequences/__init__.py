"""Sequences of different lengths."""

from mytorch.data.sequences.ragged import PADDING, RaggedDataSet
from mytorch.data.sequences.sequences import Sequences

__all__ = ["PADDING", "RaggedDataSet", "Sequences"]
