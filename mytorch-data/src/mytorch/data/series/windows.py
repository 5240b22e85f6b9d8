"""Windows of a time series: what was, and what comes after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, require_flag, require_path, require_whole
from mytorch.data.dtype import floating_dtype
from mytorch.data.series.read_series import read_series
from mytorch.data.table.errors import TableError, shown
from mytorch.data.table.reading import Reading

KEY = "windows"
"""Under which name `preparation` keeps how windows are cut."""


class Windows(DataSet):
    """Every window of a time series: `history` steps as inputs, and the `horizon` steps after them as the target.

    path:     a table with a row for each step in the order of time, at equal intervals: any file that Table reads
    target:   the column to forecast, or several
    history, horizon: numbers of steps
    columns:  the columns of the inputs, the targets among them; every column of the file if None
    delimiter, decimal, encoding: of a text file, as Table has them
    Shapes:   inputs: (windows, history, columns) of dtype;  targets: (windows, horizon * targets) of dtype, step by
              step, with windows = steps - history - horizon + 1
    like:     the `preparation` of former Windows, by which the file is read
    targets:  False for windows without targets, of which the last ends with the series: the forecast begins behind it
    Raises:   TableError for a missing cell, text, infinity and too few steps, with the row; ArgumentError for options;
              FileError for no such file; ReaderError without pyarrow

    A split is by time: see `split`. `data.standardize` and `data.targets` of an experiment scale each column by the
    windows of the training part.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from mytorch.data import Windows
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name) / "load.npz"
        >>> import numpy as np
        >>> np.savez(path, load=np.arange(10.0), heat=np.ones(10))
        >>> data = Windows(path, "load", history=3, horizon=2)
        >>> len(data), data[0]
        (6, (tensor([[0., 1.],
                [1., 1.],
                [2., 1.]]), tensor([3., 4.])))
        >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | Path,
        target: str | Sequence[str] | None = None,
        history: int | None = None,
        horizon: int = 1,
        *,
        columns: Sequence[str] | None = None,
        delimiter: str = ",",
        decimal: str = ".",
        encoding: str = "utf-8",
        dtype: torch.dtype | str = "float32",
        like: Mapping[str, Any] | None = None,
        targets: bool = True,
    ) -> None:
        self._dtype = floating_dtype("Windows", dtype)
        path = require_path(self, "path", path)
        require_flag(self, "targets", targets)
        reading = Reading(delimiter, decimal, encoding)
        wanted = [target] if isinstance(target, str) else list(target or ())
        if like is not None:
            former = _former(like)
            columns, wanted = former["columns"], former["targets"]
            history, horizon = former["history"], former["horizon"]
            reading = Reading(**former.get("reading", {})).changed(reading)
        if not wanted:
            raise ArgumentError("Windows: target must name a column, or several, got none")
        require_whole(self, "history", history, 1)
        require_whole(self, "horizon", horizon, 1)
        assert history is not None  # which was required
        names, self._series = read_series(path, columns, reading)
        if missing := [name for name in wanted if name not in names]:
            raise ArgumentError(
                f"Windows: target must be among the columns {', '.join(names)}, got {shown(missing[0])}"
            )
        self._wanted = torch.tensor([names.index(name) for name in wanted])
        self.history, self.horizon, self._with_targets = history, horizon, targets
        steps, needed = len(self._series), history + horizon * targets
        if steps < needed:
            parts = f"history + horizon = {needed}" if targets else f"history = {needed}"
            raise TableError(f"{path}: must have at least {parts} rows, got {steps}")
        self._count = steps - needed + 1
        self.overlap = horizon - 1
        kept: dict[str, Any] = {"columns": names, "targets": wanted, "history": history, "horizon": horizon}
        kept["outputs"] = outputs_of(wanted, horizon)
        self.preparation = {KEY: {"dataset": "mytorch-data:Windows", **kept, "reading": reading.to_json()}}

    @classmethod
    def new_rows(cls, path: str | Path, preparation: Mapping[str, Any], dtype: torch.dtype, targets: bool) -> Self:
        return cls(path, dtype=dtype, like=preparation, targets=targets)

    def __len__(self) -> int:
        return self._count

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Any]:
        inputs, targets = self.exact_at(indices)
        return inputs.to(self._dtype), None if targets is None else targets.to(self._dtype)

    def exact_at(self, indices: Tensor) -> tuple[Tensor, Any]:
        begin = indices.unsqueeze(1)
        inputs = self._series[begin + torch.arange(self.history)]
        if not self._with_targets:
            return inputs, None
        after = begin + torch.arange(self.history, self.history + self.horizon)
        return inputs, self._series[after][..., self._wanted].flatten(1)


def outputs_of(targets: Sequence[str], horizon: int) -> list[str]:
    """The names of the numbers of a target: "load +1" is the load one step after the history."""
    if horizon == 1:
        return list(targets)
    return [f"{name} +{step}" for step in range(1, horizon + 1) for name in targets]


def _former(like: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a preparation keeps of former Windows. Raises ArgumentError."""
    kept = like.get(KEY)
    if not isinstance(kept, Mapping) or not {"columns", "targets", "history", "horizon"} <= kept.keys():
        raise ArgumentError(f"Windows: like must be the preparation of former Windows, got {shown(dict(like))}")
    return kept
