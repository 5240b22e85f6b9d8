"""The contract of data sets: rows that are indexed as those of an array are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from mytorch.core.rows import one_row, several_rows


class DataSet:
    """Rows of inputs and targets, indexed as the rows of an array are.

    A whole number gives a row, without the axis of the batch; a slice, a list, a tensor of int64 or int32, or a mask
    gives a batch, `(inputs, targets)`, each with the batch as its first axis. torch's DataLoader, Subset and
    random_split take it as it is. Inputs and targets are tensors, or tuples or dicts of them: a model gets the entries
    of a tuple one by one, and those of a dict as keyword arguments. Rows without a target have None.

    A subclass writes `__len__` and `batch_at`, and says what is known of its rows:

    columns: the names of the input columns, () if they have none.
    classes: the names of the classes, in the order of the target's indices; None if targets are numbers.
    tokens: the names of the whole numbers of the inputs where these stand for tokens, such as characters of a text.
    targets: the targets of all rows as one tensor, if they lie in memory; None otherwise.
    preparation: what new rows need before the model sees them (encoding, standardisation), as JSON can hold it. An
        entry with the key "dataset", such as {"images": {"dataset": "acme-images:Images", "size": 32}}, names the data
        set, as `distribution:Name`, whose `new_rows` reads a file with new rows.
    row_names: what tells the rows apart in a table of predictions: the name of a column, such as "file" or "id", and
        the text that stands in it for each row; None if their order does.
    overlap: for rows in an order, such as windows of a time series or blocks of a text, with how many of the rows
        behind it a row shares targets; parts are then split by place. None if rows are independent.
    ragged: whether a batch is padded to the longest of its rows: its shape depends on which they are.
    in_units: a method; by default, targets are in their own units.
    exact_at: a method; by default, what `batch_at` gives is all that is known.
    plain: the data set itself, unless it changes rows at random for the training.

    Raises RowIndexError, an IndexError, for an index that is none or outside of the rows.

    Example:
        >>> import torch
        >>> from mytorch.core import DataSet, rows_at
        >>> class Squares(DataSet):
        ...     def __init__(self, rows: int) -> None:
        ...         self.inputs = torch.arange(rows)
        ...     def __len__(self) -> int:
        ...         return len(self.inputs)
        ...     def batch_at(self, indices):
        ...         x = rows_at(self.inputs, indices)
        ...         return x, x * x
        >>> data = Squares(10)
        >>> data[3]
        (tensor(3), tensor(9))
        >>> data[7:]
        (tensor([7, 8, 9]), tensor([49, 64, 81]))
        >>> data[[2, -1]]
        (tensor([2, 9]), tensor([ 4, 81]))
    """

    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    tokens: tuple[str, ...] | None = None
    targets: Any = None
    preparation: dict[str, Any] | None = None
    row_names: tuple[str, Sequence[str]] | None = None
    overlap: int | None = None
    ragged: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A class that changes `batch_at` alone knows nothing more exact than what it gives."""
        super().__init_subclass__(**kwargs)
        if "batch_at" in vars(cls) and "exact_at" not in vars(cls):
            cls.exact_at = DataSet.exact_at  # type: ignore[method-assign]

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}: __len__ must be defined")

    def batch_at(self, indices: Tensor) -> tuple[Any, Any]:
        """The inputs and targets of the rows at `indices`, in their order, as new tensors.

        indices: int64 of shape (rows,), from 0 to the number of rows - 1; none gives a batch without rows.
        One operation for all of them, such as `rows_at`, makes training fast.
        """
        raise NotImplementedError(f"{type(self).__name__}: batch_at must be defined")

    def exact_at(self, indices: Tensor) -> tuple[Any, Any]:
        """The batch of `batch_at` before its numbers were rounded to their dtype, for whoever scales or measures.

        A data set that holds float64 and gives float32 writes it, so that numbers that float32 cannot tell apart, such
        as seconds since 1970, are standardised before they are rounded, and metrics see the targets as they are.
        """
        return self.batch_at(indices)

    @classmethod
    def new_rows(
        cls,
        path: str | Path,
        preparation: Mapping[str, Any],
        dtype: torch.dtype,
        targets: bool,  # noqa: ARG003
    ) -> Self:
        """The rows of a file, or of a folder, read as those were that a model was trained on.

        preparation: of the data set of the training; dtype: of floating-point numbers.
        targets: whether they are wanted; a data set whose new rows depend on it says otherwise.
        By default the constructor is given the path, `dtype` and, as `like`, the preparation.
        """
        return cls(path, dtype=dtype, like=preparation)  # type: ignore[call-arg]

    def in_units(self, values: Any) -> Any:
        """Predictions or targets, as the loss sees them, in the units in which people read them."""
        return values

    @property
    def plain(self) -> DataSet:
        """The same rows as a model is judged on them: without what is drawn at random for the training alone."""
        return self

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        """A row for a whole number, a batch for a slice, a list, a tensor or a mask."""
        owner = type(self).__name__
        row = one_row(owner, index, len(self))
        if row is None:
            return self.batch_at(several_rows(owner, index, len(self)))
        inputs, targets = self.batch_at(torch.tensor([row]))
        return _row(inputs, 0), _row(targets, 0)

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, Any]]:
        """The rows one by one, as torch's DataLoader wants them, which makes a batch of them itself."""
        inputs, targets = self[indices]
        return [(_row(inputs, row), _row(targets, row)) for row in range(len(indices))]


def _row(value: Any, row: int) -> Any:
    if isinstance(value, Mapping):
        return {name: _row(entry, row) for name, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(_row(entry, row) for entry in value)
    return None if value is None else value[row]
