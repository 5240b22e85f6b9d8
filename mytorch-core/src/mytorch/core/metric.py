"""The contract of metrics: numbers that judge predictions and are not differentiated."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor


class Metric:
    """A number over a whole data set, gathered batch by batch.

    higher_is_better: which direction is good.
    """

    higher_is_better: ClassVar[bool] = True

    def reset(self) -> None:
        """Forget everything seen."""
        raise NotImplementedError(f"{type(self).__name__}: reset must be defined")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch: the model's output and the targets that the loss saw."""
        raise NotImplementedError(f"{type(self).__name__}: update must be defined")

    def compute(self) -> float:
        """The number over all batches since `reset`; NaN if there were none."""
        raise NotImplementedError(f"{type(self).__name__}: compute must be defined")
