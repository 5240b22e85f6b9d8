"""Accuracy that counts the best few guesses."""

from __future__ import annotations

from torch import Tensor

from mytorch.core import ArgumentError, Metric, ShapeError, require_whole
from mytorch.train.metrics.metrics import class_pairs


class TopKAccuracy(Metric):
    """The share of rows whose class is among the `k` classes with the largest scores.

    Predictions: scores (batch, classes, ...), of at least k classes. Targets: as Accuracy takes them.
    Raises ArgumentError for k below 1, ShapeError unless there is one target per row, or for fewer than k classes.

    Example:
        >>> import torch
        >>> from mytorch.train import TopKAccuracy
        >>> metric = TopKAccuracy(k=2)
        >>> metric.update(torch.tensor([[0.1, 0.5, 0.4], [0.1, 0.5, 0.4]]), torch.tensor([2, 0]))
        >>> metric.compute()
        0.5
    """

    undefined = "there are no rows"

    def __init__(self, k: int = 5) -> None:
        require_whole(self, "k", k, low=1)
        self.k = k
        self.reset()

    def reset(self) -> None:
        self.right: Tensor | float = 0.0
        self.rows = 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        if prediction.dim() < 2 or prediction.shape[1] < self.k:
            raise ShapeError(
                f"TopKAccuracy: predictions must be scores of at least k = {self.k} classes, (batch, classes), "
                f"got {tuple(prediction.shape)}; give a smaller k"
            )
        if not prediction.is_floating_point():
            raise ArgumentError(f"TopKAccuracy: predictions must be scores, got {prediction.dtype}")
        _, wanted = class_pairs(self, prediction, target)
        self.right = self.right + (prediction.topk(self.k, 1).indices == wanted.unsqueeze(1)).sum()
        self.rows += wanted.numel()

    def compute(self) -> float:
        return float(self.right) / self.rows if self.rows else float("nan")
