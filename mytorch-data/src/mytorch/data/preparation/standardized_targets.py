"""Numbers to be predicted, shifted and scaled for the loss and told in their own units everywhere else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, DtypeError, Wrapped
from mytorch.data.batches import exact_batches
from mytorch.data.preparation.moments import TARGETS, Moments, RunningMoments
from mytorch.data.rounding import dtypes_of, rounded

ROWS = 8192
"""Rows that are looked at together while mean and deviation are learned."""


class StandardizedTargets(Wrapped):
    """A data set of numbers whose targets come with mean 0 and deviation 1.

    Formula:  z = (t - mean) / std,  std^2 = (1/rows) sum (t - mean)^2
    Shapes:   t, z: (batch,) or (batch, columns);  mean, std: one number a column
    Raises:   DtypeError for class indices, ShapeError for another number of columns

    moments: learned from the training rows by `learn_targets`, and the same for every other data set.
    Metrics get predictions and targets in their own units: `evaluate` passes both through `in_units`.
    """

    def __init__(self, data: DataSet, moments: Moments) -> None:
        super().__init__(data)
        self.moments, self.classes = moments, None
        self.preparation = {**(data.preparation or {}), TARGETS: moments.to_json()}
        self._dtypes = dtypes_of(data)

    def in_units(self, values: Tensor) -> Tensor:
        """Scaled values, predicted or wanted, in the units of the targets; float64, so that nothing is rounded off."""
        return self.moments.in_units(values)

    def batch_at(self, indices: Tensor) -> tuple[Any, Tensor]:
        inputs, targets = self.exact_at(indices)
        return rounded(inputs, self._dtypes[0]), rounded(targets, self._dtypes[1])

    def exact_at(self, indices: Tensor) -> tuple[Any, Tensor]:
        inputs, targets = self.data.exact_at(indices)
        return inputs, self.moments.scale(require_numbers(targets))


def learn_targets(data: Any) -> Moments:
    """Mean and deviation of each target column over all rows of a data set.

    Raises DtypeError for class indices, ArgumentError for numbers that are not finite or all equal.
    """
    seen = RunningMoments()
    for _, targets in exact_batches(data, ROWS):
        t = require_numbers(targets).reshape(len(targets), -1)
        if not t.isfinite().all():
            row = int((~t.isfinite()).any(1).nonzero()[0])
            raise ArgumentError(
                f"data.targets: numbers must be finite, got {t[row].tolist()} in training row {seen.rows + row}"
            )
        seen.add(t)
    if seen.constant.any():
        value = seen.low[seen.constant][0].item()
        raise ArgumentError(
            f"data.targets: numbers must differ to be standardised, got {value:g} in every training row; "
            "there is nothing to learn"
        )
    if not seen.std.isfinite().all():
        largest = torch.maximum(seen.low.abs(), seen.high.abs()).max().item()
        raise ArgumentError(f"data.targets: numbers must be small enough to be squared, got {largest:g}")
    return Moments(seen.mean, seen.std)


def require_numbers(targets: Any) -> Tensor:
    """The targets. Raises DtypeError unless they are floating-point numbers."""
    if not isinstance(targets, Tensor) or not targets.is_floating_point():
        what = str(targets.dtype) if isinstance(targets, Tensor) else type(targets).__name__
        raise DtypeError(
            f'data.targets: "standardize" needs numbers, got {what}; use targets = "as-is" for class indices'
        )
    return targets
