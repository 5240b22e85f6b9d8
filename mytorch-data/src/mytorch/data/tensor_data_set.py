"""A data set in memory."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, DtypeError, ShapeError, rows_at
from mytorch.data.rounding import Rounded


class TensorDataSet(DataSet):
    """Rows that lie in memory; a batch is one indexing operation.

    inputs, targets: tensors, arrays, data frames of numbers or lists, with the rows as their first axis. Tensors are
        kept as they are. Floating-point numbers of anything else take torch's default dtype, as the weights of layers
        do, and whole numbers among the targets become int64, as losses take classes. What was rounded so is kept
        beside: standardisation and metrics see the numbers that were given.
    columns: the names of the input columns, if inputs have shape (rows, columns).
    classes: the names of the classes, in the order of the target's indices.
    preparation: what was done to the inputs and new rows need too, as JSON can hold it.
    Raises: ShapeError for unequal numbers of rows, DtypeError for what is no number, ArgumentError for names that do
        not fit.

    Example:
        >>> import numpy as np
        >>> from mytorch.data import TensorDataSet
        >>> data = TensorDataSet(np.eye(3), [0, 1, 1], classes=("no", "yes"))
        >>> data[1]
        (tensor([0., 1., 0.]), tensor(1))
        >>> data[1:][1]
        tensor([1, 1])
    """

    def __init__(
        self,
        inputs: Any,
        targets: Any,
        columns: Sequence[str] = (),
        classes: Sequence[str] | None = None,
        preparation: dict[str, Any] | None = None,
    ) -> None:
        self._inputs, self._targets = _as_rounded("inputs", inputs), _as_rounded("targets", targets)
        self.inputs, self.targets = self._inputs.values, _as_classes(self._targets.values, targets)
        if len(self.inputs) != len(self.targets):
            raise ShapeError(
                f"TensorDataSet: inputs and targets must have the same number of rows, "
                f"got {len(self.inputs)} and {len(self.targets)}"
            )
        if columns and (self.inputs.dim() != 2 or self.inputs.shape[1] != len(columns)):
            raise ArgumentError(
                f"TensorDataSet: columns must name every input column, got {len(columns)} names "
                f"for inputs of {tuple(self.inputs.shape)}"
            )
        self.columns, self.classes = tuple(columns), None if classes is None else tuple(classes)
        self.preparation = preparation

    def __len__(self) -> int:
        return self.inputs.shape[0]  # len() of a tensor takes three times as long

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return rows_at(self.inputs, indices), rows_at(self.targets, indices)

    def exact_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        inputs, targets = self._inputs.exact(self.inputs), self._targets.exact(self.targets)
        return rows_at(inputs, indices), rows_at(targets, indices)


def _as_rounded(what: str, given: Any) -> Rounded:
    """The numbers; those that are no tensor yet in torch's default dtype."""
    values = given if isinstance(given, Tensor) else _converted(what, given)
    narrow = values.is_floating_point() and not isinstance(given, Tensor)
    if values.dim() == 0:
        raise ShapeError(
            f"TensorDataSet: {what} must have the rows as their first axis, got one number; "
            "one row is a list or tensor of one"
        )
    return Rounded(values, torch.get_default_dtype() if narrow else values.dtype)


def _converted(what: str, values: Any) -> Tensor:
    array = _as_array(what, values)
    if array.dtype.kind not in "biufc":
        raise DtypeError(
            f"TensorDataSet: {what} must be numbers, got a {type(values).__name__} of {array.dtype}; "
            "encode text as numbers, or read a file with mytorch.data.Table, which does"
        )
    kind, most = array.dtype.kind, 16 if array.dtype.kind == "c" else 8
    native = np.dtype(f"{kind}{min(array.dtype.itemsize, most)}")  # torch knows no other byte order and no long double
    return torch.from_numpy(np.array(array, dtype=native, order="C"))


def _as_array(what: str, values: Any) -> np.ndarray[Any, Any]:
    if isinstance(values, (list, tuple)) and values and all(isinstance(value, Tensor) for value in values):
        values = [value.detach().cpu().numpy() for value in values]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.asarray(values)
        except (TypeError, ValueError, Warning) as error:
            raise ShapeError(
                f"TensorDataSet: rows of {what} must have one shape, got a {type(values).__name__} of different ones"
            ) from error


def _as_classes(targets: Tensor, given: Any) -> Tensor:
    whole = not targets.is_floating_point() and not targets.is_complex() and targets.dtype is not torch.bool
    return targets.to(torch.int64) if whole and not isinstance(given, Tensor) else targets
