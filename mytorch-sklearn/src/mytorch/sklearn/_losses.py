"""Losses around others: of rows that have weights, and of several targets with classes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Loss, ShapeError, require_d_value, require_last_axis, require_saved

Saved = tuple[Any, Tensor, tuple[int, ...]]


class Weighted(Loss):
    """The mean of a loss over rows that have weights.

    Forward:   value = sum(weight * value_of_row) / sum(weight);  value_of_row: mean of the loss over the row's numbers
    Backward:  d_prediction = that of the loss for d_value * weight / (sum(weight) * numbers of a row) at each number
    Shapes:    prediction: as the loss takes it;  target: a pair of the loss's target and weight (rows,);  value: ()
    Raises:    ShapeError if the loss, with reduction "none", does not give each row numbers of its own
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def forward(self, prediction: Tensor, target: tuple[Tensor, Tensor]) -> tuple[Tensor, Saved]:
        wanted, weight = target
        values, saved = self.loss.forward(prediction, wanted)
        if not values.dim() or len(values) != len(weight):
            raise ShapeError(
                f'{type(self.loss).__name__}: reduction must be heeded where rows have weights: the value for "none" '
                f"must have {len(weight)} rows, got {tuple(values.shape)}; fit without weights"
            )
        share = weight / weight.sum()
        return share @ values.reshape(len(weight), -1).mean(1), (saved, share, tuple(values.shape))

    def backward(self, d_value: float | Tensor, saved: Saved) -> Any:
        inner, share, shape = saved
        require_d_value(self, d_value, ())
        d_row = d_value * share * len(share) / torch.Size(shape).numel()
        return self.loss.backward(d_row.reshape(-1, *[1] * (len(shape) - 1)).expand(shape).contiguous(), inner)

    def weight_of(self, prediction: Any, target: tuple[Tensor, Tensor]) -> Tensor:  # noqa: ARG002
        weight = target[1]
        return weight.sum(
            dtype=None if weight.is_mps else torch.float64
        )  # which no order of the rows rounds otherwise


class PerOutput(Loss):
    """The mean of one loss over several targets, each with classes of its own.

    Forward:   value = mean over the outputs of loss(the output's columns of the prediction, its column of the target)
    Backward:  d_prediction = the gradients of the outputs side by side, each for d_value / outputs
    Shapes:    prediction: (rows, sum of sizes);  target: (rows, outputs), whole numbers;
               value: that of the loss, () or (rows,)
    """

    outputs = "softmax"

    def __init__(self, loss: Loss, sizes: Sequence[int]) -> None:
        self.loss, self.sizes, self.reduction = loss, list(sizes), loss.reduction

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, tuple[list[Any], tuple[int, ...]]]:
        require_last_axis(self, prediction, sum(self.sizes), "prediction")
        require_last_axis(self, target, len(self.sizes), "target")
        parts = prediction.split(self.sizes, 1)
        pairs = [self.loss.forward(part, target[:, column]) for column, part in enumerate(parts)]
        value = torch.stack([value for value, _ in pairs]).mean(0)
        return value, ([saved for _, saved in pairs], tuple(value.shape))

    def backward(self, d_value: float | Tensor, saved: tuple[list[Any], tuple[int, ...]]) -> Tensor:
        require_saved(self, saved, list, tuple)
        each, shape = saved
        require_d_value(self, d_value, shape)
        d_one = d_value / len(self.sizes)
        return torch.cat([self.loss.backward(d_one, inner) for inner in each], 1)
