"""Data sets that are made from others."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mytorch.core.dataset import DataSet
from mytorch.core.errors import ArgumentError
from mytorch.core.rows import rows_at, several_rows


class Wrapped(DataSet):
    """The rows of another data set, with its columns, classes, preparation and units; a subclass changes them.

    data: the data set whose rows they are.
    A subclass writes `batch_at`, which may ask `self.data.batch_at(indices)`, and sets `targets` if it knows them all.
    Raises ArgumentError if `data` is no DataSet.

    Example:
        >>> from mytorch.core import DataSet, Wrapped
        >>> class Counts(DataSet):
        ...     def __len__(self) -> int:
        ...         return 10
        ...     def batch_at(self, indices):
        ...         return indices, indices % 2
        >>> class Scaled(Wrapped):
        ...     def batch_at(self, indices):
        ...         inputs, targets = self.data.batch_at(indices)
        ...         return inputs / 10, targets
        >>> Scaled(Counts())[7:9]
        (tensor([0.7000, 0.8000]), tensor([1, 0]))
    """

    def __init__(self, data: DataSet) -> None:
        if not isinstance(data, DataSet):
            raise ArgumentError(
                f"{type(self).__name__}: data must be a mytorch.core.DataSet, got a {type(data).__name__}; "
                "mytorch.data.TensorDataSet(inputs, targets) makes one of tensors, arrays and lists"
            )
        self.data = data
        self.columns, self.classes, self.preparation = data.columns, data.classes, data.preparation
        self.row_names, self.overlap, self.ragged = data.row_names, data.overlap, data.ragged
        self.tokens = data.tokens

    def __len__(self) -> int:
        return len(self.data)

    def batch_at(self, indices: Tensor) -> tuple[Any, Any]:
        return self.data.batch_at(indices)

    def exact_at(self, indices: Tensor) -> tuple[Any, Any]:
        return self.data.exact_at(indices)

    def in_units(self, values: Any) -> Any:
        return self.data.in_units(values)


class View(Wrapped):
    """Some rows of a data set, in an order of their own, fetched from it when they are asked for.

    data: the data set, which may be a View itself.
    indices: which rows: a slice, a list, an int64 or int32 tensor, or a mask; kept as int64 of shape (rows,).
    Raises ArgumentError if `data` is no DataSet, RowIndexError for indices that are none or outside of its rows.

    Example:
        >>> from mytorch.core import DataSet, View
        >>> class Counts(DataSet):
        ...     def __len__(self) -> int:
        ...         return 10
        ...     def batch_at(self, indices):
        ...         return indices, indices % 2
        >>> part = View(Counts(), [9, 3, 4])
        >>> len(part), part[0]
        (3, (tensor(9), tensor(1)))
        >>> part[1:]
        (tensor([3, 4]), tensor([1, 0]))
    """

    def __init__(self, data: DataSet, indices: Any) -> None:
        super().__init__(data)
        self.indices = several_rows(type(self).__name__, indices, len(data))
        self.targets = rows_at(data.targets, self.indices) if isinstance(data.targets, Tensor) else None
        if data.row_names is not None:
            column, names = data.row_names
            self.row_names = column, [names[row] for row in self.indices.tolist()]

    def __len__(self) -> int:
        return len(self.indices)

    def batch_at(self, indices: Tensor) -> tuple[Any, Any]:
        return self.data.batch_at(rows_at(self.indices, indices))

    def exact_at(self, indices: Tensor) -> tuple[Any, Any]:
        return self.data.exact_at(rows_at(self.indices, indices))
