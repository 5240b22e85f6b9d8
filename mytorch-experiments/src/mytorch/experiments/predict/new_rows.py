"""Reading rows that come after the training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mytorch.core import DataSet
from mytorch.experiments.predict.prepared import Inputs, Prepared, dtype_of
from mytorch.plugins import catalogue
from mytorch.train.errors import RunError

if TYPE_CHECKING:
    from mytorch.experiments.runs.run import Run

READER = "mytorch-data:NewRows"
NO_COLUMN = ""
"""A name that no column has."""
READING = {"delimiter": ",", "decimal": ".", "encoding": "utf-8", "header": True}


def rows_of(run: Run, source: str | Path | Tensor | Any, targets: bool) -> DataSet:
    """The rows of a file, tensor or data set as the model of a run takes them.

    targets: whether they are wanted; if not, those of a file are not even looked at.
    """
    if isinstance(source, (str, Path)):
        return Prepared(run, read_rows(run, Path(source), targets), read=True)
    return Prepared(run, Inputs(source) if isinstance(source, Tensor) else source)


def read_rows(run: Run, path: Path, targets: bool) -> Any:
    """The rows of a file, read, encoded and standardised by what the run keeps in data.json.

    Raises RunError for a run without column names, and whatever the reader says of the file.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise RunError(f"{path}: must be a table such as rows.csv, got {what}")
    preparation = table_preparation(run)
    if not targets:
        preparation = {**preparation, "table": without_target(preparation["table"])}
    dtype = str(dtype_of(run)).removeprefix("torch.")
    return catalogue().load("dataset", READER)(path, preparation, dtype=dtype)


def without_target(table: Mapping[str, Any]) -> dict[str, Any]:
    """The same columns, of which the target is left out, and every row, which must then be whole."""
    target = table.get("target")
    if not isinstance(target, Mapping) or "name" not in target:
        return dict(table)  # the reader says what is wrong with it
    missing = None if table.get("missing") == "drop" else table.get("missing")
    left_out = [*table.get("left_out", ()), target["name"]]
    return {**table, "target": {**target, "name": NO_COLUMN}, "missing": missing, "left_out": left_out}


def table_preparation(run: Run) -> dict[str, Any]:
    """What new rows need. A run whose data came from no table gets columns of numbers under the names that it has."""
    preparation = dict(run.data.get("preparation") or {})
    columns, classes = run.data.get("columns"), run.data.get("classes")
    if isinstance(preparation.get("table"), Mapping):
        return preparation
    if not columns:
        raise RunError(
            f"{run.path}: must know the names of its columns to read a table, got a run without; "
            "use mytorch.experiments.load(run).predict(tensor)"
        )
    target = {"name": "target", "kind": "number"} if classes is None else {"name": "class", "kind": "classes"}
    features = [{"name": name, "kind": "number"} for name in columns]
    known = target if classes is None else {**target, "classes": [str(name) for name in classes]}
    return {**preparation, "table": {"features": features, "target": known, "missing": None, "reading": READING}}
