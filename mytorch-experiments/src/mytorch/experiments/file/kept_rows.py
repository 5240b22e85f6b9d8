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

    Where rows have names, such as the files of images, and the list has their column, the names decide: numbers change
    when files are added.
    Raises ExperimentError for a file that cannot be read or is of other data, and where no row is left.
    """
    origin, lines = Origin.of(training), read_lines(path)
    named = origin.source.row_names
    if named is not None and named[0] in lines[0]:
        kept = _by_name(origin, [line[named[0]] or "" for line in lines], path)
    else:
        kept = _by_number(origin, [line[COLUMN] or "" for line in lines], path)
    if not kept.any():
        raise ExperimentError(
            f"data.keep: {path}: must list at least one row of the training part, got {len(lines)} others"
        )
    return View(training, kept)


def _by_name(origin: Origin, wanted: list[str], path: str) -> Tensor:
    assert origin.source.row_names is not None
    names = origin.source.row_names[1]
    if unknown := sorted(set(wanted) - set(names)):
        raise ExperimentError(
            f"data.keep: {path}: names must be those of rows of the training data set, got {shown(unknown[0])}; it is "
            "a list of rows of other data"
        )
    found = set(wanted)
    return torch.tensor([names[place] in found for place in origin.places.tolist()], dtype=torch.bool)


def _by_number(origin: Origin, cells: list[str], path: str) -> Tensor:
    wrong = [cell for cell in cells if not cell.strip().isdecimal() or len(cell) > 18 or int(cell) < 1]
    if wrong:
        raise ExperimentError(
            f"data.keep: {path}: column {COLUMN!r} must hold whole numbers from 1, got {shown(wrong[0])}"
        )
    wanted = torch.tensor([int(cell) for cell in cells], dtype=torch.int64)
    rows = len(origin.source) + getattr(origin.source, "dropped", 0)
    if int(wanted.max()) > rows:
        raise ExperimentError(
            f"data.keep: {path}: numbers must be those of rows of the training data set, 1 to {rows}, got "
            f"{int(wanted.max())}; it is a list of rows of other data"
        )
    return torch.isin(origin.numbers, wanted)


def read_lines(path: str) -> list[dict[str, str]]:
    """The lines of a CSV file with a column `row`, by column, at least one. Raises ExperimentError."""
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write a mark in front
            table = csv.DictReader(file)
            if COLUMN not in (table.fieldnames or ()):
                raise ExperimentError(f"data.keep: {path}: must be a CSV file with a column {COLUMN!r}, got none")
            lines = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        found = getattr(error, "strerror", None) or one_line(error)
        raise ExperimentError(f"data.keep: {path}: must be a readable CSV file in UTF-8, got {found}") from None
    if not lines:
        raise ExperimentError(f"data.keep: {path}: column {COLUMN!r} must hold whole numbers from 1, got no line")
    return lines
