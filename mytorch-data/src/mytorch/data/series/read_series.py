"""Reading columns of numbers, row by row in the order of the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mytorch.core import ArgumentError
from mytorch.data.table.cells import Array, Cells
from mytorch.data.table.errors import TableError, shown
from mytorch.data.table.open_table import open_table
from mytorch.data.table.reading import Reading
from mytorch.data.table.source import Source
from mytorch.plugins import nearest


def read_series(path: Path, columns: Sequence[str] | None, reading: Reading) -> tuple[list[str], Tensor]:
    """The names of columns and their numbers, float64 of shape (rows, columns).

    columns: which, in this order; all of the file if None.
    Raises TableError for a missing cell, for text and for infinity, with the row; ArgumentError for a column that is
        not there or named twice.
    """
    source = open_table(path, reading)
    names = list(source.names if columns is None else columns)
    for name in names:
        if name not in source.names:
            near = nearest(name, source.names)
            raise ArgumentError(f"{path}: columns must be in the file, got none named {shown(name)}. {near}")
    if len(set(names)) < len(names) or not names:
        raise ArgumentError(f"{path}: columns must be different names, got {', '.join(names) or 'none'}")
    parts, row = [], 0
    for batch in source.batches(names):
        numbers = np.stack([_numbers(source, row, name, batch[name]) for name in names], axis=1)
        parts.append(numbers)
        row += len(numbers)
    source.require_fits(row, len(names))
    return names, torch.from_numpy(np.concatenate(parts))


def _numbers(source: Source, first: int, name: str, cells: Cells) -> Array:
    """The numbers of a column in a batch whose first row is `first`. Raises TableError for what is none."""
    if cells.kind == "text":
        bad = [code for code, value in enumerate(cells.values) if not source.numerals.is_number(value)]
        at = int(np.isin(cells.codes, bad or [0]).argmax())
        raise TableError(
            f"{source.cell(first + at, name)} must be a number, got {shown(cells.values[cells.codes[at]])}; "
            "leave the column out of columns"
        )
    wrong = ~np.isfinite(cells.numbers)
    if wrong.any():
        at = int(wrong.argmax())
        got = "a missing cell" if np.isnan(cells.numbers[at]) else str(cells.numbers[at])
        raise TableError(
            f"{source.cell(first + at, name)} must be a finite number, got {got}; a series must have every step"
        )
    return cells.numbers
