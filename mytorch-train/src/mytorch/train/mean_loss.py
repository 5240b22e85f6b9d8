"""The mean of a loss over batches of any size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mytorch.core import ArgumentError, Loss, Module
from mytorch.train.batches import count_rows

Weight = int | float | Tensor
"""By what the mean over a batch was divided: a number or a 0-dim tensor."""


def weight_of(loss: Module, prediction: Any, targets: Any) -> Weight:
    """What a batch counts for when the loss is averaged; a module that is no Loss counts rows."""
    return loss.weight_of(prediction, targets) if isinstance(loss, Loss) else count_rows(targets)


def sums(loss: Module) -> bool:
    """Whether a batch's value is the sum of what the loss averages, and not their mean."""
    return isinstance(loss, Loss) and loss.reduction == "sum"


class MeanLoss:
    """The mean of a loss over the batches that were added: its value on all of them at once.

    Formula: sum(value * weight) / sum(weight) of means, sum(value) / sum(weight) of sums; NaN if the weights are 0.
    A batch of weight 0, such as one whose targets are all ignored, does not count, whatever its value is.

    Example:
        >>> from mytorch.core import Loss
        >>> mean = MeanLoss(Loss())
        >>> mean.add(1.0, 3)
        >>> mean.add(2.0, 1)
        >>> mean.add(float("nan"), 0)
        >>> mean.compute()
        1.25
    """

    def __init__(self, loss: Module) -> None:
        self._owner = type(loss).__name__
        self._sums = sums(loss)
        self._total = self._weight = 0.0

    def add(self, value: float | Tensor, weight: float | Tensor) -> None:
        """Add a batch's value and its weight. Raises ArgumentError unless the weight is a number of at least 0."""
        try:
            weight = float(weight)
        except (TypeError, ValueError, RuntimeError) as error:
            got = f"a tensor of {tuple(weight.shape)}" if isinstance(weight, Tensor) else repr(weight)
            raise ArgumentError(f"{self._owner}: weight_of must return a number of at least 0, got {got}") from error
        if not 0 <= weight < math.inf:
            raise ArgumentError(f"{self._owner}: weight_of must return a number of at least 0, got {weight}")
        if weight:
            self._total += float(value) * (1.0 if self._sums else weight)
            self._weight += weight

    def state_dict(self) -> dict[str, float]:
        """The sums so far."""
        return {"total": self._total, "weight": self._weight}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Continue from sums that `state_dict` returned."""
        self._total, self._weight = state["total"], state["weight"]

    def compute(self) -> float:
        """The mean over all batches."""
        return self._total / self._weight if self._weight else math.nan
