"""A data set in memory."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mytorch.core import ArgumentError, DataSet, ShapeError, rows_at


class TensorDataSet(DataSet):
    """Rows that lie in memory; a batch is one indexing operation.

    inputs, targets: tensors with the rows as their first axis.
    columns: the names of the input columns, if inputs have shape (rows, columns).
    classes: the names of the classes, in the order of the target's indices.
    preparation: what was done to the inputs and new rows need too, as JSON can hold it.
    Raises: ShapeError for unequal numbers of rows, ArgumentError for names that do not fit.
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor,
        columns: Sequence[str] = (),
        classes: Sequence[str] | None = None,
        preparation: dict[str, Any] | None = None,
    ) -> None:
        if inputs.dim() == 0 or targets.dim() == 0:
            raise ShapeError("TensorDataSet: inputs and targets must have the rows as their first axis, got no axis")
        if len(inputs) != len(targets):
            raise ShapeError(
                f"TensorDataSet: inputs and targets must have the same number of rows, "
                f"got {len(inputs)} and {len(targets)}"
            )
        if columns and (inputs.dim() != 2 or inputs.shape[1] != len(columns)):
            raise ArgumentError(
                f"TensorDataSet: columns must name every input column, got {len(columns)} names "
                f"for inputs of {tuple(inputs.shape)}"
            )
        self.inputs, self.targets = inputs, targets
        self.columns, self.classes = tuple(columns), None if classes is None else tuple(classes)
        self.preparation = preparation

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitems__(self, indices: Tensor | list[int]) -> tuple[Tensor, Tensor]:
        return rows_at(self.inputs, indices), rows_at(self.targets, indices)
