"""The logarithmic loss, whatever the model was trained with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import ArgumentError, Metric, ShapeError
from mytorch.train.metrics.metrics import class_pairs

READ = ("softmax", "log-softmax", "sigmoid")


class LogLoss(Metric):
    """The mean of -log(p), where p is the probability that the model gave to the row's class.

    It is comparable between models, since it has no label smoothing and no class weights, which a training loss may
    have. Guessing gives log(number of classes); confident wrong predictions make it grow without bound.

    Predictions: scores (batch, classes), read by their softmax, or as logarithms of probabilities after a loss of
        "log-softmax"; after one of "sigmoid", logits (batch, 1) or (batch,).
    Targets: as Accuracy takes them, one class per row.
    Raises ShapeError unless there is one target per row, ArgumentError after a loss whose predictions are not
    probabilities, such as MSELoss.

    Example:
        >>> import torch
        >>> from mytorch.train import LogLoss
        >>> metric = LogLoss()
        >>> metric.outputs = "softmax"
        >>> metric.update(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
        >>> round(metric.compute(), 4)
        0.6931
    """

    higher_is_better = False
    undefined = "there are no rows, or an output is not finite"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.total: Tensor | float = 0.0
        self.rows = 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        if self.outputs not in READ:
            raise ArgumentError(
                f"LogLoss: the loss must give probabilities, its outputs being one of {', '.join(READ)}, "
                f'got "{self.outputs}"; train with CrossEntropyLoss or BCEWithLogitsLoss'
            )
        _, wanted = class_pairs(self, prediction, target)
        scores = prediction.double()
        if self.outputs == "sigmoid":
            scores = _two_columns(scores)
        logs = scores if self.outputs == "log-softmax" else scores.log_softmax(1)
        self.total = self.total + F.nll_loss(logs, wanted.long(), reduction="sum")
        self.rows += wanted.numel()

    def compute(self) -> float:
        return float(self.total) / self.rows if self.rows else float("nan")


def _two_columns(logits: Tensor) -> Tensor:
    """Scores of both classes, whose softmax is the sigmoid of the one column; several are a softmax of logarithms."""
    if logits.dim() == 1 or logits.shape[1] == 1:
        second = logits.reshape(-1, 1)
        return torch.cat((torch.zeros_like(second), second), 1)
    if logits.dim() != 2:
        raise ShapeError(f"LogLoss: logits must be (batch, columns), got {tuple(logits.shape)}")
    return F.logsigmoid(logits)
