"""Rows as the model of a run takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, ShapeError, fetch_exact, rows_at
from mytorch.data.preparation.moments import INPUTS, TARGETS, Moments
from mytorch.data.rounding import is_padded, padding_of, rounded
from mytorch.experiments.predict.kept_data import KeptData
from mytorch.plugins import shown


class Inputs(DataSet):
    """Rows without targets."""

    def __init__(self, inputs: Tensor) -> None:
        if inputs.dim() < 2:
            raise ShapeError(f"predict: rows must be a tensor of (rows, columns), got {tuple(inputs.shape)}")
        self.inputs = inputs

    def __len__(self) -> int:
        return len(self.inputs)

    def batch_at(self, indices: Tensor) -> tuple[Tensor, None]:
        return rows_at(self.inputs, indices), None


class Prepared(DataSet):
    """A data set with its columns in the order of the run's, in the model's dtype, its inputs standardised as the
    run's, and the targets, if they were standardised too, as the loss sees them.

    dtype: that of the model's weights.
    read: it comes from mytorch.data.new_rows, with inputs that are standardised and targets that are not; of any other
        data set its own preparation says what is done.
    Raises ArgumentError for a column that is missing or too many, ShapeError for another number of columns.
    """

    def __init__(self, data: Any, kept: KeptData, dtype: torch.dtype, read: bool = False) -> None:
        self.data = data
        self.columns, self.classes = kept.columns, getattr(data, "classes", None)
        self.preparation, self.row_names = dict(kept.preparation), getattr(data, "row_names", None)
        self.ragged = getattr(data, "ragged", False)
        self._order = _order(self.columns, tuple(getattr(data, "columns", ())))
        self._dtype = dtype
        self._whole = kept.entry.get("whole") is True
        done = (INPUTS,) if read else tuple(getattr(data, "preparation", None) or ())
        self._inputs = None if INPUTS in done else Moments.of(self.preparation, INPUTS)
        self._targets = None if TARGETS in done else Moments.of(self.preparation, TARGETS)

    def __len__(self) -> int:
        return len(self.data)

    def batch_at(self, indices: Tensor) -> tuple[Any, Any]:
        inputs, targets = self.exact_at(indices)
        if isinstance(targets, Tensor) and targets.is_floating_point():
            targets = targets.to(self._dtype)
        if isinstance(inputs, Tensor):
            inputs = inputs.to(torch.int64 if self._whole else self._dtype)
        elif is_padded(inputs) and inputs["x"].is_floating_point():
            inputs = rounded(inputs, self._dtype)
        return inputs, targets

    def exact_at(self, indices: Tensor) -> tuple[Any, Any]:
        inputs, targets = fetch_exact(self.data, torch.as_tensor(indices))
        if self._targets is not None and targets is not None:
            targets = self._targets.scale(targets)
        return self._prepare(inputs), targets

    def in_units(self, values: Tensor) -> Tensor:
        """Predictions or targets in the units of the targets, in which metrics judge."""
        learned = Moments.of(self.preparation, TARGETS)
        return values if learned is None else learned.in_units(values)

    def _prepare(self, inputs: Any) -> Any:
        if is_padded(inputs):
            x = self._prepare(inputs["x"])
            return {**inputs, "x": x.masked_fill(padding_of(inputs).unsqueeze(2), 0)}
        if not isinstance(inputs, Tensor):
            return inputs
        if self.columns and inputs.dim() == 2 and inputs.shape[1] != len(self.columns):
            raise ShapeError(
                f"predict: rows must have the columns {', '.join(self.columns)}, got {inputs.shape[1]} columns"
            )
        if self._order is not None:
            inputs = inputs[:, self._order]
        return inputs if self._inputs is None else self._inputs.scale(inputs)


def _order(wanted: Sequence[str], given: Sequence[str]) -> list[int] | None:
    """Where each wanted column stands among those given; None if they are the same, or have no names."""
    if not given or not wanted or given == wanted:
        return None
    if missing := [name for name in wanted if name not in given]:
        raise ArgumentError(f"predict: rows must have the column {missing[0]!r}, got {', '.join(given)}")
    if extra := [name for name in given if name not in wanted]:
        raise ArgumentError(
            f"predict: rows must have the columns {', '.join(wanted)} alone, got {shown(extra[0])} too"
        )
    return [given.index(name) for name in wanted]
