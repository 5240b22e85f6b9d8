"""Reading rows that come after the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mytorch.core import DataSet, fetch
from mytorch.data import EncodedTargets, new_rows
from mytorch.data.table.new_rows import without_target
from mytorch.data.table.open_table import refuse_address
from mytorch.data.table.rows import Rows
from mytorch.experiments.predict.kept_data import KeptData
from mytorch.experiments.predict.prepared import Inputs, Prepared
from mytorch.plugins import catalogue
from mytorch.train.errors import RunError


def rows_of(source: str | Path | Tensor | Any, kept: KeptData, dtype: torch.dtype, targets: bool) -> DataSet:
    """The rows of a file, in memory, of a tensor or of a data set as a model of a run takes them.

    dtype: that of the model's weights.
    targets: whether they are wanted; if not, those of a file are not even looked at.
    Raises RunError for a file that is none and for a run without column names, ArgumentError, ShapeError and what the
        reader of tables raises for rows that do not fit.
    """
    if isinstance(source, Rows):
        return Prepared(read_rows(source, kept, dtype, targets), kept, dtype, read=True)
    if isinstance(source, (str, Path)) and kept.dataset is not None:
        cls = catalogue().load("dataset", kept.dataset)
        return Prepared(cls.new_rows(source, kept.for_dataset, dtype, targets), kept, dtype)
    if isinstance(source, (str, Path)):
        return Prepared(read_rows(Path(source), kept, dtype, targets), kept, dtype, read=True)
    return Prepared(Inputs(source) if isinstance(source, Tensor) else source, kept, dtype)


def read_rows(path: Path | Rows, kept: KeptData, dtype: torch.dtype, targets: bool) -> DataSet:
    """The rows of a file, read, encoded and standardised by what the run keeps in data.json."""
    if isinstance(path, Path):
        _require_table(path)
    preparation = kept.for_tables
    if not targets:
        preparation = {**preparation, "table": without_target(preparation["table"])}
    return new_rows(path, preparation, dtype=dtype)


def _require_table(path: Path) -> None:
    """Raise RunError or FileError for what is no file."""
    refuse_address(path)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise RunError(f"{path}: must be a table such as rows.csv, got {what}")


def rows_to_judge(
    source: str | Path | Any, kept: KeptData, dtype: torch.dtype, encoding: str, encoded: torch.dtype
) -> tuple[DataSet, str]:
    """Rows with the targets that the loss takes, and what they are, for a report.

    encoding, encoded: how an experiment's targets become columns, and of which dtype.
    Raises RunError if there is no row, or no target.
    """
    data = rows_of(source, kept, dtype, targets=True)
    what = str(source) if isinstance(source, (str, Path)) else type(source).__name__
    if not len(data):
        raise RunError(f"{what}: must have at least one row, got none")
    if fetch(data, torch.tensor([0]))[1] is None:
        raise RunError(f"{what}: must have the column {kept.target!r} to judge by, got a table without")
    if encoding not in ("one-hot", "binary"):
        return data, what
    count = 2 if encoding == "binary" else len(kept.classes or ()) or None
    return EncodedTargets(data, "binary" if encoding == "binary" else "one-hot", encoded, count), what
