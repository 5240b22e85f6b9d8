"""More than one number about a model: which classes it confuses, whether its probabilities hold, where it is off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Metric, ShapeError
from mytorch.experiments.predict.head import Head, readable
from mytorch.train.metrics.metrics import class_indices

BINS = 10
MOST_CLASSES = 1000
"""The matrix of more takes more memory than it is worth, and nobody reads it."""


@dataclass
class Confusion:
    """How often each class was taken for each, and how often the model was right at each level of confidence.

    counts: (classes, classes), rows are true classes and columns predicted ones.
    rows, right, confidence: for each of 10 equal bins of the confidence (the largest probability of a row), the rows
        that fell into it, how many of them were right, and the sum of their confidences.
    """

    classes: tuple[str, ...]
    counts: Tensor
    rows: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.float64))
    right: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.float64))
    confidence: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.float64))

    @property
    def calibration_error(self) -> float:
        """The expected calibration error: sum over bins of |right - confidence| / all rows.

        Source: Naeini, Cooper and Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian binning"
        """
        return float((self.right - self.confidence).abs().sum() / self.rows.sum())

    def add(self, probabilities: Tensor, predicted: Tensor, wanted: Tensor) -> None:
        """Take in a batch."""
        count = len(self.classes)
        self.counts += torch.bincount(wanted * count + predicted, minlength=count * count).reshape(count, count)
        confidence = probabilities.amax(1)
        bins = (confidence * BINS).long().clamp(0, BINS - 1)
        self.rows.index_add_(0, bins, torch.ones_like(confidence))
        self.right.index_add_(0, bins, (predicted == wanted).double())
        self.confidence.index_add_(0, bins, confidence)


@dataclass
class Residuals:
    """What is left of the targets, true - predicted, (rows, outputs) each, float64, in the units of the targets."""

    predicted: Tensor
    true: Tensor
    names: tuple[str, ...]

    def statistics(self) -> dict[str, dict[str, float]]:
        """Mean, standard deviation, quantiles and the largest of each output's residuals."""
        return {
            name: _statistics(column) for name, column in zip(self.names, (self.true - self.predicted).T, strict=True)
        }


def _statistics(residuals: Tensor) -> dict[str, float]:
    ordered = residuals.sort().values  # torch.quantile takes 16 million values at most

    def quantile(share: float) -> float:
        return float(ordered[round(share * (len(ordered) - 1))])

    return {
        "mean": float(residuals.mean()),
        "std": float(residuals.std(correction=0)),
        "5 %": quantile(0.05),
        "median": quantile(0.5),
        "95 %": quantile(0.95),
        "largest": float(residuals[residuals.abs().argmax()]),
    }


class Judge(Metric):
    """Gathers a Confusion or Residuals during an evaluation. What a Head cannot read, it leaves out.

    skipped: rows that were left out because the output or the target is not finite or no class.
    """

    def __init__(self, head: Head, target: str) -> None:
        self.head, self.target = head, target
        self.reset()

    def reset(self) -> None:
        self.confusion: Confusion | None = None
        self.skipped = 0
        self._numbers: list[tuple[Tensor, Tensor]] = []
        self._pairs: list[tuple[Tensor, Tensor]] = []

    def update(self, prediction: Any, target: Any) -> None:
        if not readable(prediction) or not isinstance(target, Tensor):
            return
        if self.head.kind == "numbers":
            self._add_numbers(prediction, target)
        else:
            self._add_classes(prediction, target)

    def _add_numbers(self, prediction: Tensor, target: Tensor) -> None:
        if prediction.shape != target.shape:
            return
        predicted, true = (values.double().reshape(len(values), -1) for values in (prediction, target))
        kept = (predicted.isfinite() & true.isfinite()).all(1)
        self.skipped += int((~kept).sum())
        self._numbers.append((predicted[kept], true[kept]))

    def _add_classes(self, prediction: Tensor, target: Tensor) -> None:
        kept = prediction.reshape(len(prediction), -1).isfinite().all(1)
        columns = prediction.shape[1] if prediction.dim() > 1 else 1
        wanted = class_indices(target, columns, 0.5)
        if wanted.shape != (len(prediction),):
            return
        try:
            read = self.head.read(prediction)
        except ShapeError:  # loss and metrics may well know what to do with it
            return
        if read.probabilities is None or read.indices is None or len(read.classes) > MOST_CLASSES:
            return
        kept &= (wanted >= 0) & (wanted < len(read.classes))
        self.skipped += int((~kept).sum())
        self._pairs.append((read.indices, wanted.where(kept, -1)))
        if not kept.any():
            return
        if self.confusion is None:
            count = len(read.classes)
            self.confusion = Confusion(read.classes, torch.zeros(count, count, dtype=torch.int64))
        self.confusion.add(read.probabilities[kept], read.indices[kept], wanted[kept])

    def compute(self) -> float:
        return float("nan")

    @property
    def pairs(self) -> tuple[Tensor, Tensor] | None:
        """The predicted and the true class of each row, int64 of shape (rows,); -1 for a row that was skipped. None if
        there were no classes.
        """
        if self.confusion is None:
            return None
        predicted, true = (torch.cat(parts) for parts in zip(*self._pairs, strict=True))
        return predicted, true

    @property
    def residuals(self) -> Residuals | None:
        """What was gathered of numbers; None if there were none."""
        if not self._numbers:
            return None
        predicted, true = (torch.cat(parts) for parts in zip(*self._numbers, strict=True))
        count = predicted.shape[1]
        names = self.head.names
        if len(names) != count:
            names = (self.target,) if count == 1 else tuple(f"{self.target} {number}" for number in range(count))
        return Residuals(predicted, true, names) if len(predicted) else None
