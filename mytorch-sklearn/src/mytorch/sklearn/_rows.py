"""Arrays as a data set of mytorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mytorch.core import DataSet, rows_at


def as_tensor(values: np.ndarray[Any, Any]) -> Tensor:
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
