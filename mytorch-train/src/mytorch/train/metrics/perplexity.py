"""How many tokens a language model hesitates between."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import ArgumentError, Metric, ShapeError, require_whole

READ = ("softmax", "log-softmax")


class Perplexity(Metric):
    """exp(the mean of -log(p)), where p is the probability that the model gave to the token that came next.

    A model that considers n tokens equally likely has the perplexity n; one that predicts every token with certainty
    has 1. The mean is taken over all tokens of all batches. Only models with the same tokens can be compared.

    Predictions: scores (batch, classes, ...) as CrossEntropyLoss takes them, or logarithms of probabilities after a
        loss of "log-softmax".
    Targets: indices (batch, ...), int64.
    ignore_index: targets of this value do not count, as in CrossEntropyLoss.
    Raises ShapeError unless there is one target for each prediction, ArgumentError after a loss whose predictions are
    not class probabilities.
    Source: Jelinek et al. 1977, "Perplexity: a measure of the difficulty of speech recognition tasks"

    Example:
        >>> import torch
        >>> from mytorch.train import Perplexity
        >>> metric = Perplexity()
        >>> metric.outputs = "softmax"
        >>> metric.update(torch.zeros(2, 5, 3), torch.tensor([[0, 4, 1], [2, 2, 3]]))
        >>> round(metric.compute(), 4)
        5.0
    """

    higher_is_better = False
    undefined = "there are no tokens, or an output is not finite"

    def __init__(self, ignore_index: int = -100) -> None:
        require_whole(self, "ignore_index", ignore_index, low=None)
        self.ignore_index = ignore_index
        self.reset()

    def reset(self) -> None:
        self.total: Tensor | float = 0.0
        self.tokens: Tensor | int = 0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        if self.outputs not in READ:
            raise ArgumentError(
                f"Perplexity: the loss must give probabilities of classes, its outputs being one of "
                f'{", ".join(READ)}, got "{self.outputs}"; train with CrossEntropyLoss'
            )
        expected = (*prediction.shape[:1], *prediction.shape[2:])
        if prediction.dim() < 2 or target.shape != expected or target.is_floating_point():
            raise ShapeError(
                f"Perplexity: targets must be one index for each prediction of (batch, classes, ...), whole numbers "
                f"of {tuple(expected)}, got {target.dtype} of {tuple(target.shape)}"
            )
        scores = prediction.to(torch.promote_types(prediction.dtype, torch.float32))
        logs = scores if self.outputs == "log-softmax" else scores.log_softmax(1)
        each = F.nll_loss(logs, target, reduction="none", ignore_index=self.ignore_index)
        self.total = self.total + each.double().sum()
        self.tokens = self.tokens + (target != self.ignore_index).sum()

    def compute(self) -> float:
        tokens = int(self.tokens)
        if not tokens:
            return math.nan
        mean = float(self.total) / tokens
        return math.exp(mean) if mean < 700 else math.inf  # beyond which exp has no number
