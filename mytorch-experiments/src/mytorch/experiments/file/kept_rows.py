"""The rows of the training part that an experiment keeps, by a file that lists them."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from torch import Tensor

from mytorch.core import DataSet, View
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.file.origin import Origin
from mytorch.plugins import one_line, shown

COLUMN = "row"
"""Of the numbers, counted as in the file of the data set, from 1."""


def keep_rows(training: DataSet, path: str) -> View:
    """The rows of the training part that a CSV file lists; rows of other parts in it do not count.

    Raises ExperimentError for a file that cannot be read or is of other data, and where no row is left.
    """
    origin, wanted = Origin.of(training), read_numbers(path)
    rows = len(origin.source) + getattr(origin.source, "dropped", 0)
    if int(wanted.max()) > rows:
        raise ExperimentError(
            f"data.keep: {path}: numbers must be those of rows of the training data set, 1 to {rows}, got "
            f"{int(wanted.max())}; it is a list of rows of other data"
        )
    kept = torch.isin(origin.numbers, wanted)
    if not kept.any():
        raise ExperimentError(
            f"data.keep: {path}: must list at least one row of the training part, got {len(wanted)} others"
        )
    return View(training, kept)


def read_numbers(path: str) -> Tensor:
    """The numbers in the column `row` of a CSV file, int64. Raises ExperimentError."""
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            lines = csv.DictReader(file)
            if COLUMN not in (lines.fieldnames or ()):
                raise ExperimentError(f"data.keep: {path}: must be a CSV file with a column {COLUMN!r}, got none")
            cells = [line[COLUMN] or "" for line in lines]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        found = getattr(error, "strerror", None) or one_line(error)
        raise ExperimentError(f"data.keep: {path}: must be a readable CSV file in UTF-8, got {found}") from None
    wrong = [cell for cell in cells if not cell.strip().isdecimal() or len(cell) > 18 or int(cell) < 1]
    if wrong or not cells:
        raise ExperimentError(
            f"data.keep: {path}: column {COLUMN!r} must hold whole numbers from 1, got "
            f"{shown(wrong[0]) if wrong else 'no line'}"
        )
    return torch.tensor([int(cell) for cell in cells], dtype=torch.int64)
