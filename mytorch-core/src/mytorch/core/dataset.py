"""The contract of data sets: what torch's DataLoader takes, and a whole batch by one indexing operation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_SELECTED = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8)
"""The dtypes of data that index_select is known to take; it is slow where a row does not lie in one piece."""


class DataSet:
    """Rows of inputs and targets.

    A subclass writes `__len__` and `__getitems__`, and sets what is known about its columns:

    columns: the names of the input columns, () if they have none.
    classes: the names of the classes, in the order of the target's indices; None if targets are numbers.
    preparation: what new rows need before the model sees them (encoding, standardisation), as JSON can hold it.

    With a DataLoader, pass `collate_fn=lambda batch: batch`, since a batch comes whole.
    """

    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    preparation: dict[str, Any] | None = None

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}: __len__ must be defined")

    def __getitems__(self, indices: Tensor | list[int]) -> tuple[Any, Any]:
        """The inputs and targets of the rows at `indices` (int64), each with the batch as its first axis."""
        raise NotImplementedError(f"{type(self).__name__}: __getitems__ must be defined")

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """One row's input and target. Raises IndexError past the end, so that iteration stops."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"{type(self).__name__}: index must be below {len(self)}, got {index}")
        inputs, targets = self.__getitems__(torch.tensor([index % len(self)]))
        return _first_row(inputs), _first_row(targets)


def rows_at(values: Tensor, indices: Tensor | list[int]) -> Tensor:
    """The rows at `indices` (whole numbers from 0) as a new tensor: many small ones in half the time of `values[...]`.

    Raises IndexError for an index outside of the rows or that is no whole number, a mask among them.
    """
    if not isinstance(indices, Tensor):
        indices = torch.as_tensor(indices, dtype=None if len(indices) else torch.int64)
    if indices.dtype not in (torch.int64, torch.int32):
        raise IndexError(f"rows_at: indices must be int64 or int32, got {indices.dtype}")
    indices = indices.to(values.device)
    if values.dtype in _SELECTED and values.is_contiguous():
        return values.index_select(0, indices)
    return values[indices]


def _first_row(value: Any) -> Any:
    return tuple(map(_first_row, value)) if isinstance(value, tuple | list) else value[0]
