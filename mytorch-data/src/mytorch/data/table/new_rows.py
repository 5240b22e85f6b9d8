"""New rows for a model that was trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mytorch.core import DataSet
from mytorch.data.preparation import INPUTS, Standardize, Standardized
from mytorch.data.table.data_set import Table
from mytorch.data.table.errors import TableError
from mytorch.data.table.open_table import open_table
from mytorch.data.table.recipe import Recipe
from mytorch.data.table.rows import Rows
from mytorch.plugins import nearest

NO_COLUMN = ""
"""A name that no column has."""


def new_rows(path: str | Path | Rows, preparation: Mapping[str, Any], dtype: torch.dtype | str = "float32") -> DataSet:
    """The rows of a file, or in memory, encoded, filled in and standardised as those were that a model was trained on.

    preparation: what the data set of the training says, such as a run's `data["preparation"]`.
    Its `targets` are None if the file has no target column. Every row of the file comes, in its order.
    Raises what Table raises.
    """
    table = Table(path, dtype=dtype, like=preparation)
    if table.dropped:
        raise TableError(
            f'{path}: every row must be whole for a model trained with missing = "drop", got {table.dropped} with '
            'missing cells; fill them in, or train with missing = "mean"'
        )
    if INPUTS not in preparation:
        return table
    return Standardized(table, Standardize.from_preparation(preparation))


def without_target(table: Mapping[str, Any]) -> dict[str, Any]:
    """The same columns, of which the target is left out, and every row, which must then be whole."""
    target = table.get("target")
    if not isinstance(target, Mapping) or "name" not in target:
        return dict(table)  # the reader says what is wrong with it
    missing = None if table.get("missing") == "drop" else table.get("missing")
    left_out = [*table.get("left_out", ()), target["name"]]
    return {**table, "target": {**target, "name": NO_COLUMN}, "missing": missing, "left_out": left_out}


def cells_of(
    path: str | Path, columns: Sequence[str] | None, preparation: Mapping[str, Any]
) -> tuple[list[str], Iterator[list[str]]]:
    """The names of columns of a file, and their cells as text, a row at a time, in the order of `new_rows`.

    columns: which, in this order; all of the file if None.
    Raises TableError for a column that is not there, and what Table raises.
    """
    source = open_table(path, Recipe.from_json(preparation).reading)
    for name in columns or ():
        if name not in source.names:
            raise TableError(
                f"{path}: must have the columns to keep, got none named {name!r}. {nearest(name, source.names)}"
            )
    names = list(source.names if columns is None else columns)
    return names, source.texts(names)
