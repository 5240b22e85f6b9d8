"""Metrics of squared differences, gathered in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mytorch.core import Metric, require_same_shape


class MeanSquaredError(Metric):
    """The mean of (prediction - target)^2 over all elements, in the squared units of the target."""

    higher_is_better = False
    undefined = "there are no rows, or a prediction or target is not finite"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.total: Tensor | float = 0.0
        self.elements = 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        require_same_shape(self, prediction, target)
        self.total = self.total + (prediction.double() - target.double()).square().sum()
        self.elements += prediction.numel()

    def compute(self) -> float:
        return float(self.total) / self.elements if self.elements else float("nan")


class RootMeanSquaredError(MeanSquaredError):
    """The square root of the mean of (prediction - target)^2 over all elements, in the units of the target."""

    def compute(self) -> float:
        return math.sqrt(super().compute())


class R2(Metric):
    """The share of the targets' variance that the predictions explain; predicting the targets' mean gives 0.

    Formula: 1 - sum (prediction - target)^2 / sum (target - mean of targets)^2, the mean over the output columns;
        NaN if a column of targets is constant.
    Source of the sum over batches: Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for
        computing sample variances"
    """

    undefined = "the targets of all rows are equal, or a prediction or target is not finite"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.rows = 0
        self.errors = self.mean = self.squares = torch.zeros((), dtype=torch.float64)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        require_same_shape(self, prediction, target)
        wanted = target.double().reshape(len(target), -1)
        if self.rows == 0:
            self.origin = wanted[0]
        self.errors = self.errors + (prediction.double().reshape(wanted.shape) - wanted).square().sum(0)
        moved = wanted - self.origin  # so that a constant column is 0, whatever rounding does to a mean
        rows, mean = len(moved), moved.mean(0)
        shift, total = mean - self.mean, self.rows + len(moved)
        self.squares = self.squares + (moved - mean).square().sum(0) + shift.square() * (self.rows * rows / total)
        self.mean = self.mean + shift * (rows / total)
        self.rows = total

    def compute(self) -> float:
        explained = 1 - self.errors / self.squares
        return float(torch.where(self.squares > 0, explained, torch.nan).mean())
