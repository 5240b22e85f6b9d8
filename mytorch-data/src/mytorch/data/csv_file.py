"""Data sets as CSV tables."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, ShapeError
from mytorch.data.batches import batches
from mytorch.plugins import refuse_overwrite, whole_file


def write_csv(dataset: DataSet, path: str | Path, force: bool = False) -> Path:
    """Write a data set as a table: its columns, and "class" with the class's name, or "target" without names.

    Numbers are written so that reading them gives the same numbers again. The file appears whole or not at all.

    Raises FileError if it exists (unless `force`), ShapeError unless rows are flat, ArgumentError for equal names.
    """
    header = _header(dataset, *dataset[0])
    path = Path(path)
    refuse_overwrite(path, force)
    with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        for inputs, targets in batches(dataset):
            table.writerows(_rows(dataset, inputs, targets))
    return path


def _header(dataset: DataSet, inputs: Tensor, targets: Tensor) -> list[str]:
    if inputs.dim() != 1 or targets.dim() > 1:
        raise ShapeError(
            "write_csv: every row must be flat, with inputs of shape (columns,) and targets () or (columns,), "
            f"got {tuple(inputs.shape)} and {tuple(targets.shape)}"
        )
    columns = list(dataset.columns) or [f"x{number}" for number in range(len(inputs))]
    target = "class" if _is_named(dataset, targets) else "target"
    named = [target] if targets.dim() == 0 else [f"{target}{number}" for number in range(len(targets))]
    if len(set(columns + named)) < len(columns + named):
        raise ArgumentError(f"write_csv: columns must have different names, got {', '.join(columns + named)}")
    return columns + named


def _is_named(dataset: DataSet, targets: Tensor) -> bool:
    return dataset.classes is not None and targets.dim() == 0 and not targets.is_floating_point()


def _rows(dataset: DataSet, inputs: Tensor, targets: Tensor) -> Iterator[list[Any]]:
    values = _written(targets)
    if dataset.classes is not None and _is_named(dataset, targets[0]):
        values = [dataset.classes[index] for index in targets.tolist()]
    for row, value in zip(_written(inputs), values, strict=True):
        yield [*row, *(value if isinstance(value, list) else [value])]


def _written(values: Tensor) -> Any:
    """Numbers as the fewest digits that their dtype reads as the same numbers again."""
    return (
        values.tolist() if values.dtype not in (torch.float32, torch.float16) else values.numpy().astype(str).tolist()
    )
