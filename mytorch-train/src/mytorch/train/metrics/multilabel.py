"""Metrics of several labels a row, each of which may hold or not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Metric, require_choice, require_same_shape, require_whole
from mytorch.train.metrics.metrics import class_pairs

THRESHOLDS = {"numbers": 0.5}
"""From where on a label is predicted, by how predictions are read; scores and logits from 0."""


def labels_of(metric: Metric, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Which labels are predicted and which are wanted, booleans of (rows, labels). Raises what ExactMatch does."""
    require_same_shape(metric, prediction, target)
    owner = type(metric).__name__
    if target.dim() < 2 or metric.outputs in ("softmax", "log-softmax"):
        got = f"targets of {tuple(target.shape)}" if target.dim() < 2 else f'a loss of "{metric.outputs}" outputs'
        raise ArgumentError(
            f"{owner}: targets must have several labels per row, with a column of 0 and 1 each and a loss such as "
            f"BCEWithLogitsLoss, got {got}; Accuracy and F1 are for one class a row"
        )
    if not bool(((target == 0) | (target == 1)).all()):
        raise ArgumentError(f"{owner}: targets must be 0 and 1, got {_strange(target)}")
    predicted = prediction > THRESHOLDS.get(metric.outputs, 0.0) if prediction.is_floating_point() else prediction != 0
    return predicted.flatten(1), target.flatten(1).bool()


def _strange(target: Tensor) -> Any:
    return target[(target != 0) & (target != 1)].flatten()[0].item()


class ExactMatch(Metric):
    """The share of rows that are right throughout: in all of their labels, as the subset accuracy of scikit-learn, or
    at every step of a sequence.

    Labels:    predictions are logits (batch, labels), a label where positive; after a loss of "numbers", where above
               1/2; targets are 0 and 1, of the predictions' shape
    Sequences: predictions are scores (batch, classes, steps, ...) as CrossEntropyLoss takes them, the largest wins;
               targets are class indices (batch, steps, ...)
    ignore_index: targets of sequences with this value do not count, such as those of padding. A row of nothing else
        does not count either.
    Raises ShapeError for other shapes, ArgumentError for other targets or a loss with one class per row.

    Example:
        >>> import torch
        >>> from mytorch.train import ExactMatch
        >>> metric = ExactMatch()
        >>> metric.update(torch.tensor([[2.0, -1.0], [2.0, 3.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        >>> metric.compute()
        0.5
        >>> metric.reset()
        >>> scores = torch.tensor([[[0.9, 0.2, 0.6], [0.1, 0.8, 0.4]]])  # of two classes at three steps
        >>> metric.update(scores, torch.tensor([[0, 1, -100]]))
        >>> metric.compute()
        1.0
    """

    undefined = "there are no rows"

    def __init__(self, ignore_index: int = -100) -> None:
        require_whole(self, "ignore_index", ignore_index, low=None)
        self.ignore_index = ignore_index
        self.reset()

    def reset(self) -> None:
        self.right: Tensor | float = 0.0
        self.rows: Tensor | int = 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        if target.dim() > 1 and target.dtype is torch.int64 and prediction.dim() == target.dim() + 1:
            predicted, wanted = class_pairs(self, prediction, target)
            counted = (wanted != self.ignore_index).flatten(1)
        else:
            predicted, wanted = labels_of(self, prediction, target)
            counted = torch.ones_like(wanted)
        right = (predicted == wanted).flatten(1) | ~counted
        self.right = self.right + (right.all(1) & counted.any(1)).sum()
        self.rows = self.rows + counted.any(1).sum()

    def compute(self) -> float:
        rows = int(self.rows)
        return float(self.right) / rows if rows else float("nan")


class HammingLoss(Metric):
    """The share of labels that are wrong, over all rows and labels. Predictions and targets are as for ExactMatch.

    Example:
        >>> import torch
        >>> from mytorch.train import HammingLoss
        >>> metric = HammingLoss()
        >>> metric.update(torch.tensor([[2.0, -1.0], [2.0, 3.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        >>> metric.compute()
        0.25
    """

    higher_is_better = False
    undefined = "there are no rows"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.wrong: Tensor | float = 0.0
        self.labels = 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        predicted, wanted = labels_of(self, prediction, target)
        self.wrong = self.wrong + (predicted != wanted).sum()
        self.labels += wanted.numel()

    def compute(self) -> float:
        return float(self.wrong) / self.labels if self.labels else float("nan")


class MultilabelF1(Metric):
    """The harmonic mean of precision and recall over labels. Predictions and targets are as for ExactMatch.

    Formula: F1 = 2 right / (wanted + predicted), counted in labels that hold.
    average: "macro", the mean over the labels' F1; "micro", the F1 of all labels together; "samples", the mean over
        the rows' F1. A label or row without any true or predicted label counts as 0, as in scikit-learn.
    Raises ArgumentError for another average.

    Example:
        >>> import torch
        >>> from mytorch.train import MultilabelF1
        >>> metric = MultilabelF1(average="micro")
        >>> metric.update(torch.tensor([[2.0, -1.0], [2.0, 3.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        >>> metric.compute()
        0.8
    """

    undefined = "there are no rows"

    def __init__(self, average: str = "macro") -> None:
        require_choice(self, "average", average, ("macro", "micro", "samples"))
        self.average = average
        self.reset()

    def reset(self) -> None:
        self.counts: Tensor | None = None
        self.scores, self.rows = 0.0, 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        predicted, wanted = labels_of(self, prediction, target)
        counts = [kind.sum(0, dtype=torch.float64) for kind in (predicted & wanted, predicted, wanted)]
        self.counts = torch.stack(counts) + (0 if self.counts is None else self.counts)
        right, either = (predicted & wanted).sum(1).double(), (predicted.sum(1) + wanted.sum(1)).double()
        self.scores += float(_f1(right, either).sum())
        self.rows += len(wanted)

    def compute(self) -> float:
        if self.counts is None or not self.rows:
            return float("nan")
        if self.average == "samples":
            return self.scores / self.rows
        right, predicted, wanted = self.counts
        if self.average == "micro":
            return float(_f1(right.sum(), predicted.sum() + wanted.sum()))
        return float(_f1(right, predicted + wanted).mean())


def _f1(right: Tensor, either: Tensor) -> Tensor:
    return torch.where(either > 0, 2 * right / either.clamp(min=1), 0.0)
