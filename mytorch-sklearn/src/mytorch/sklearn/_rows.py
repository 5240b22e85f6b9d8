"""Arrays, and the weights of their rows, as a data set of mytorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, rows_at

Array = np.ndarray[Any, Any]


def as_tensor(values: Array) -> Tensor:
    """A tensor on the memory of an array, or on a copy where torch cannot use it: read-only, or read backwards."""
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))


class Rows(DataSet):
    """The rows of arrays; where they have weights, a target is a pair (target, weight)."""

    def __init__(self, inputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> None:
        self.inputs, self.wanted, self.weights = inputs, targets, weights

    def __len__(self) -> int:
        return len(self.inputs)

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Any]:
        wanted = rows_at(self.wanted, indices)
        if self.weights is not None:
            wanted = (wanted, rows_at(self.weights, indices))  # type: ignore[assignment]
        return rows_at(self.inputs, indices), wanted


def counted(X: Array, y: Array, weights: Array | None) -> tuple[Array, Array, Array | None]:
    """The rows whose weight is above 0, with their weights; all, where there are none."""
    if weights is None:
        return X, y, None
    above = weights > 0
    if not above.any():
        raise ArgumentError(
            "fit: sample_weight must have a number above zero, in a class whose weight is above zero, got a weight of "
            "zero for each row"
        )
    return (X, y, weights) if above.all() else (X[above], y[above], weights[above])


def shares(weights: Array, dtype: np.dtype[Any]) -> Array:
    """Weights above 0 as parts of the largest, in a dtype that may hold neither the largest nor the smallest.

    The mean over weighted rows is the same for all multiples of the weights.
    """
    found: Array = np.maximum(weights / weights.max(), np.finfo(dtype).tiny).astype(dtype)
    return found
