"""Numbers in a narrower dtype than they came in, and what they were before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import DataSet, fetch

Dtypes = tuple[torch.dtype | None, torch.dtype | None]


def compact(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Numbers in `dtype` if it holds each of them exactly (NaN too), else as they are."""
    rounded = values.to(dtype)
    exact = (rounded.to(values.dtype) == values) | values.isnan()
    return rounded if bool(exact.all()) else values


def dtypes_of(data: DataSet) -> Dtypes:
    """In which dtypes a data set gives its inputs and targets; None for what is no tensor. Padded inputs have x."""
    batch = fetch(data, torch.arange(min(1, len(data))))
    values = (value["x"] if is_padded(value) else value for value in batch)
    inputs, targets = (value.dtype if isinstance(value, Tensor) else None for value in values)
    return inputs, targets


def is_padded(inputs: Any) -> bool:
    """Whether inputs are padded sequences, {"x": (batch, longest, ...), "lengths": (batch,)}."""
    return isinstance(inputs, Mapping) and inputs.keys() == {"x", "lengths"}


def padding_of(inputs: Mapping[str, Tensor]) -> Tensor:
    """Which steps of padded sequences are padding, (batch, longest)."""
    return torch.arange(inputs["x"].shape[1]) >= inputs["lengths"].unsqueeze(1)


def rounded(value: Any, dtype: torch.dtype | None) -> Any:
    """A tensor, or padded sequences, in the dtype in which it is trained; anything else as it is."""
    if is_padded(value):
        return {**value, "x": rounded(value["x"], dtype)}
    return value if dtype is None or not isinstance(value, Tensor) else value.to(dtype)


class Rounded:
    """A tensor in a narrower dtype, `values`, which keeps the exact numbers if any was rounded."""

    def __init__(self, given: Tensor, dtype: torch.dtype) -> None:
        self.values = given
        self._exact: Tensor | None = None
        self._version = 0
        if given.dtype != dtype:
            with torch.inference_mode(False):  # whose tensors count their changes
                self.values = given.to(dtype)
            self._exact = None if compact(given, dtype).dtype == dtype else given
            self._version = self.values._version

    def exact(self, now: Tensor) -> Tensor:
        """The exact numbers of `now`; `now` itself where they are not known, or if it was changed or replaced."""
        if self._exact is None or now is not self.values or now._version != self._version:
            return now
        return self._exact
