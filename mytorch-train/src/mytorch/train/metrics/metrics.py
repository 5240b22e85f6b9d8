"""Metrics of classification and regression.

No library computes them. Measured against scikit-learn, torchmetrics 1.9 answers in float32 (ROC AUC off by 1e-8),
puts scores outside of [0, 1] through a sigmoid that loses ranks (off by 1e-3), and takes a second to import.
"""

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Metric, ShapeError, require_same_shape, require_whole

ONE = 0.01
"""How far the probabilities of a target may be from adding up to 1, which float16 does not do exactly."""


def class_indices(values: Tensor, columns: int, threshold: float) -> Tensor:
    """The class of each row: of several columns (axis 1) the largest, of one whether it is above; integers as is."""
    if not values.is_floating_point():
        return values
    return values.argmax(1) if columns > 1 else (values > threshold).long().reshape(-1)


def class_pairs(metric: Metric, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The predicted and the wanted class of each row, as Accuracy explains. Raises ShapeError, ArgumentError."""
    if target.dim() > 1 and target.is_floating_point() and target.shape[1] > 1:
        _require_one_class(metric, target)
    columns = prediction.shape[1] if prediction.dim() > 1 else 1
    threshold = 0.5 if metric.outputs == "numbers" else 0.0  # numbers are near the 0 and 1 of the target
    predicted, wanted = class_indices(prediction, columns, threshold), class_indices(target, columns, 0.5)
    if predicted.shape != wanted.shape:
        raise ShapeError(
            f"{type(metric).__name__}: targets must be one class a row, {tuple(predicted.shape)}, "
            f"got {tuple(wanted.shape)}"
        )
    return predicted, wanted


def _require_one_class(metric: Metric, target: Tensor) -> None:
    """Raise ArgumentError unless every row of targets is one-hot, or probabilities of classes."""
    total = target.sum(1)
    wrong = (total - 1).abs() > ONE
    if bool(wrong.any()):
        raise ArgumentError(
            f"{type(metric).__name__}: targets must be one class a row, got a row whose {target.shape[1]} columns add "
            f"up to {total[wrong][0].item():.4g}; "
            "ExactMatch, HammingLoss and MultilabelF1 are for several labels a row"
        )


class Accuracy(Metric):
    """The share of rows whose class is predicted correctly.

    Predictions: scores (batch, classes, ...) as CrossEntropyLoss takes them, the largest wins;
        or logits (batch, 1) or (batch,), class 1 where positive; after a loss of "numbers", where above 1/2.
    Targets: class indices (batch, ...), or one-hot rows or probabilities of the predictions' shape.
    ignore_index: targets of this value do not count, such as those of padding, as in CrossEntropyLoss.
    Raises ShapeError unless there is one target per row, ArgumentError for several labels per row.

    Example:
        >>> import torch
        >>> from mytorch.train import Accuracy
        >>> metric = Accuracy()
        >>> scores = torch.tensor([[[0.9, 0.2, 0.6], [0.1, 0.8, 0.4]]])  # of two classes at three steps
        >>> metric.update(scores, torch.tensor([[0, 0, -100]]))
        >>> metric.compute()
        0.5
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
        predicted, wanted = class_pairs(self, prediction, target)
        counted = wanted != self.ignore_index
        self.right = self.right + ((predicted == wanted) & counted).sum()
        self.rows = self.rows + counted.sum()

    def compute(self) -> float:
        rows = int(self.rows)
        return float(self.right) / rows if rows else float("nan")


class ErrorRate(Accuracy):
    """The share of rows whose class is predicted wrongly: 1 - Accuracy."""

    higher_is_better = False

    def compute(self) -> float:
        rows = int(self.rows)
        return (rows - float(self.right)) / rows if rows else float("nan")


class MeanAbsoluteError(Metric):
    """The mean of |prediction - target| over all elements, in the units of the target."""

    higher_is_better = False
    undefined = "there are no rows, or a prediction or target is not finite"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.total: Tensor | float = 0.0
        self.elements = 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        require_same_shape(self, prediction, target)
        self.total = self.total + (prediction - target).abs().sum(dtype=torch.float64)
        self.elements += prediction.numel()

    def compute(self) -> float:
        return float(self.total) / self.elements if self.elements else float("nan")
