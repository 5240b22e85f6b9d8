"""Metrics that follow from how often each class is wanted, predicted and right."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import ArgumentError, Metric, require_choice
from mytorch.train.metrics.metrics import class_pairs


class ClassCounts(Metric):
    """What the metrics of this file gather: predictions and targets as Accuracy takes them.

    right, wanted, predicted: so many rows a class, int64 of shape (classes,).
    Raises ShapeError if there is not one target a row, ArgumentError for a negative class.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._counts = torch.zeros(3, 0, dtype=torch.int64)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        predicted, wanted = (classes.reshape(-1).long().cpu() for classes in class_pairs(self, prediction, target))
        seen = torch.cat((predicted, wanted))
        if seen.numel() and int(seen.min()) < 0:
            raise ArgumentError(f"{type(self).__name__}: classes must be at least 0, got {int(seen.min())}")
        columns = prediction.shape[1] if prediction.dim() > 1 and prediction.is_floating_point() else 1
        known = max(2, columns, self._counts.shape[1])
        kinds = predicted[predicted == wanted], wanted, predicted
        counts = [torch.bincount(classes, minlength=known) for classes in kinds]
        known = max(map(len, counts))
        padded = [F.pad(count, (0, known - len(count))) for count in (*self._counts, *counts)]
        self._counts = torch.stack(padded[:3]) + torch.stack(padded[3:])

    @property
    def right(self) -> Tensor:
        return self._counts[0]

    @property
    def wanted(self) -> Tensor:
        return self._counts[1]

    @property
    def predicted(self) -> Tensor:
        return self._counts[2]


class BalancedAccuracy(ClassCounts):
    """The mean over the classes of the share of a class's rows that are right, so that rare classes count as much.

    Formula: mean of right_c / wanted_c over the classes c that occur among the targets; NaN if there are no rows.
    Predictions and targets are as Accuracy takes them.
    """

    undefined = "there are no rows"

    def compute(self) -> float:
        occurs = self.wanted > 0
        return float((self.right[occurs].double() / self.wanted[occurs]).mean())


class PerClass(ClassCounts):
    """What Precision, Recall and F1 share: one score a class, and which of them counts.

    average: None for the score of class 1 if there are two classes, else the mean over the classes; "macro" for the
        mean even if there are two, "weighted" for that by their wanted rows.
    Raises ArgumentError for another average.
    """

    undefined = "no row is of the class, and none is taken for it"

    def __init__(self, average: str | None = None) -> None:
        if average is not None:
            require_choice(self, "average", average, ("macro", "weighted"))
        self.average = average
        super().__init__()

    def scores(self) -> Tensor:
        """The score of each class, NaN where it is not defined."""
        raise NotImplementedError(f"{type(self).__name__}: scores must be defined")

    def compute(self) -> float:
        scores = self.scores()
        if self.average is None and len(scores) == 2:
            return float(scores[1])
        counted = ~scores.isnan()
        weights = self.wanted[counted].double() if self.average == "weighted" else torch.ones_like(scores[counted])
        return float((scores[counted] * weights).sum() / weights.sum())


class F1(PerClass):
    """The harmonic mean of precision and recall: for class 1 if there are two, else the mean over the classes.

    Formula: F1_c = 2 right_c / (wanted_c + predicted_c); classes that are neither wanted nor predicted do not count,
        and the value is NaN if none is left.
    average: "macro" for the mean over the classes even if there are two, "weighted" for that by their wanted rows.
    Predictions and targets are as Accuracy takes them.
    Raises ArgumentError for another average.
    """

    def scores(self) -> Tensor:
        return 2 * self.right / (self.wanted + self.predicted).double()


class IoU(PerClass):
    """The intersection over union of a class: of class 1 if there are two, else the mean over the classes.

    Formula: IoU_c = right_c / (wanted_c + predicted_c - right_c), with counts over all pixels of all rows together;
        classes that are neither wanted nor predicted do not count, and the value is NaN if none is left.
    average: as of F1. Predictions and targets are as Accuracy takes them.
    Raises ArgumentError for another average.
    Source: Jaccard 1901, "Étude comparative de la distribution florale dans une portion des Alpes et des Jura"

    Example:
        >>> import torch
        >>> from mytorch.train import IoU
        >>> metric = IoU(average="macro")
        >>> metric.update(torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 1]]))
        >>> round(metric.compute(), 4)
        0.5833
    """

    name = "iou"

    def scores(self) -> Tensor:
        return self.right / (self.wanted + self.predicted - self.right).double()


class Precision(PerClass):
    """Of the rows predicted as a class, the share that are of it: for class 1 of two, else the mean over classes.

    Formula: right_c / predicted_c; 0 for a class that is wanted and never predicted; one that is neither does not
        count, and the value is NaN if none is left.
    average: as of F1. Predictions and targets are as Accuracy takes them.
    Raises ArgumentError for another average.
    """

    def scores(self) -> Tensor:
        return _shares(self.right, self.predicted, self.wanted)


class Recall(PerClass):
    """Of the rows of a class, the share that are predicted as it: for class 1 of two, else the mean over classes.

    Formula: right_c / wanted_c; 0 for a class that is predicted and never wanted; one that is neither does not count,
        and the value is NaN if none is left.
    average: as of F1. Predictions and targets are as Accuracy takes them.
    Raises ArgumentError for another average.
    """

    def scores(self) -> Tensor:
        return _shares(self.right, self.wanted, self.predicted)


def _shares(right: Tensor, of: Tensor, other: Tensor) -> Tensor:
    """right / of; 0 where only the other is there, NaN where neither is."""
    return torch.where((of == 0) & (other > 0), 0.0, right / of.double())
