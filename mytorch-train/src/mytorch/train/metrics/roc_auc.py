"""The area under the ROC curve."""

from __future__ import annotations

import torch
from torch import Tensor

from mytorch.core import DtypeError, Metric
from mytorch.train.metrics.metrics import class_pairs


class ROCAUC(Metric):
    """The share of pairs, a row of the class and one of another, in which the first scores higher; ties count half.

    Formula: (sum of ranks of the class's rows - n (n + 1) / 2) / (n m), for n rows of the class and m others; the
        ranks count scores upwards from 1, and equal scores share the mean of theirs.
    Two classes: that of class 1. More: the mean over the classes, each against the rest by its softmax; a class that
        no row or every row has does not count. NaN if none is left, or if a score is NaN.
    Predictions and targets are as Accuracy takes them, but predictions must be scores. All are kept until `compute`.
    Raises ShapeError if there is not one target a row, DtypeError for predictions that are no scores.
    Source: Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating characteristic
        (ROC) curve"
    """

    undefined = "all rows are of one class, or an output is not finite"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._seen: list[tuple[Tensor, Tensor]] = []

    def update(self, prediction: Tensor, target: Tensor) -> None:
        if not prediction.is_floating_point():
            raise DtypeError(f"ROCAUC: predictions must be scores, floating point, got {prediction.dtype}")
        _, wanted = class_pairs(self, prediction, target)
        columns = prediction.movedim(1, -1).flatten(0, -2) if prediction.dim() > 1 else prediction.unsqueeze(1)
        self._seen.append((columns.cpu(), wanted.reshape(-1).cpu()))

    def compute(self) -> float:
        if not self._seen:
            return float("nan")
        scores, wanted = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        scores = scores.double()
        if scores.shape[1] <= 2:
            return area(scores[:, -1] - (scores[:, 0] if scores.shape[1] == 2 else 0), wanted == 1)
        areas = [area(column, wanted == index) for index, column in enumerate(scores.softmax(1).T)]
        return float("nan") if scores.isnan().any() else float(torch.tensor(areas, dtype=torch.float64).nanmean())


def area(scores: Tensor, positive: Tensor) -> float:
    """The area for scores (rows,) in float64 and which rows are of the class; NaN without two kinds of rows."""
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m or scores.isnan().any():
        return float("nan")
    _, place, ties = scores.unique(return_inverse=True, return_counts=True)
    ranks = ties.cumsum(0).double() - (ties - 1) / 2
    return (float(ranks[place[positive]].sum()) - n * (n + 1) / 2) / (n * m)
