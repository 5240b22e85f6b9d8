"""New rows for a model that was trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mytorch.core import DataSet
from mytorch.data.preparation import INPUTS, Standardize, Standardized
from mytorch.data.table.data_set import Table
from mytorch.data.table.errors import TableError


def new_rows(path: str | Path, preparation: Mapping[str, Any], dtype: torch.dtype | str = "float32") -> DataSet:
    """The rows of a file, encoded, filled in and standardised as those were that a model was trained on.

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
