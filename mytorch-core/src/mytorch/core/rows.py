"""Rows of tensors: which ones an index means, and how they are gathered."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor

from mytorch.core.errors import RowIndexError

_SELECTED = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8)
"""The dtypes of data that index_select is known to take; it is slow where a row does not lie in one piece."""


def rows_at(values: Tensor, indices: Tensor | list[int]) -> Tensor:
    """The rows at `indices` (whole numbers from 0) as a new tensor: many small ones in half the time of `values[...]`.

    Raises RowIndexError for indices that are no whole numbers, a mask among them; IndexError outside of the rows.
    """
    if not isinstance(indices, Tensor):
        indices = torch.as_tensor(indices, dtype=None if len(indices) else torch.int64)
    if indices.dtype not in (torch.int64, torch.int32):
        raise RowIndexError(f"rows_at: indices must be int64 or int32, got {indices.dtype}")
    indices = indices.to(values.device)
    if values.dtype in _SELECTED and values.is_contiguous():
        return values.index_select(0, indices)
    return values[indices]


def one_row(owner: str, index: Any, count: int) -> int | None:
    """The row from 0 that a whole number means, -1 the last of `count`; None if `index` is no whole number.

    Raises RowIndexError outside of the rows.
    """
    if isinstance(index, bool) or (isinstance(index, Tensor) and (index.dim() > 0 or index.dtype is torch.bool)):
        return None
    try:
        row = operator.index(index)
    except TypeError:
        return None
    if not -count <= row < count:
        raise RowIndexError(
            f"{owner}: index must be from {-count} to {count - 1}, got {row}" if count else _none(owner)
        )
    return row % count


def several_rows(owner: str, index: Any, count: int) -> Tensor:
    """The rows that a slice, a list, an array or a tensor means, as an int64 tensor of one axis, counted from 0.

    A mask (booleans) has one entry for each of `count` rows and means those that are true.
    Raises RowIndexError for anything else, and outside of the rows.
    """
    if isinstance(index, slice):
        return _in_slice(owner, index, count)
    indices = _as_tensor(owner, index)
    if indices.dtype is torch.bool:
        if len(indices) != count:
            raise RowIndexError(f"{owner}: a mask must have one entry for each of {count} rows, got {len(indices)}")
        return indices.nonzero().flatten()
    if indices.numel() == 0:
        return indices.to(torch.int64)
    low, high = (int(bound) for bound in indices.aminmax())
    if low < -count or high >= count:
        raise RowIndexError(
            f"{owner}: indices must be from {-count} to {count - 1}, got {low if low < -count else high}"
            if count
            else _none(owner)
        )
    return torch.where(indices < 0, indices + count, indices).to(torch.int64) if low < 0 else indices.to(torch.int64)


def _in_slice(owner: str, index: slice, count: int) -> Tensor:
    try:
        found = range(count)[index]
    except (TypeError, ValueError) as error:
        raise RowIndexError(
            f"{owner}: a slice must be of whole numbers with a step that is not 0, got {index}"
        ) from error
    return torch.arange(found.start, found.start + len(found) * found.step, found.step)


def _as_tensor(owner: str, index: Any) -> Tensor:
    if not isinstance(index, (Tensor, list, range)) and not hasattr(index, "__array__"):
        raise _wrong(owner, f"a {type(index).__name__}")
    empty = not isinstance(index, Tensor) and len(index) == 0
    try:
        indices = torch.as_tensor(index, dtype=torch.int64 if empty else None)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _wrong(owner, f"a {type(index).__name__} of something else") from error
    if indices.dim() != 1:
        raise _wrong(owner, f"shape {tuple(indices.shape)}")
    if indices.dtype not in (torch.int64, torch.int32, torch.bool):
        raise _wrong(owner, str(indices.dtype))
    return indices


def _wrong(owner: str, got: str) -> RowIndexError:
    return RowIndexError(
        f"{owner}: an index must be a whole number, a slice, or a list or tensor of one axis of int64, int32 or "
        f"booleans, got {got}"
    )


def _none(owner: str) -> str:
    return f"{owner}: an index must mean a row, got one into a data set without rows"
