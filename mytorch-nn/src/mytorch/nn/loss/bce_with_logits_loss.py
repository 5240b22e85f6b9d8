"""The cross entropy of yes-or-no questions."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import Loss, require_d_value, require_floating, require_same_shape, require_saved
from mytorch.nn.loss._elementwise import fitting_weight, held_weight
from mytorch.nn.loss._reduction import columns_of_diagonal, drawn_share, per_element, require_reduction
from mytorch.nn.loss._tangents import elementwise


class BCEWithLogitsLoss(Loss):
    """Cross entropy of probabilities sigmoid(prediction) with targets between 0 and 1.

    Forward:   value = average of -weight * (pos_weight * t * log(p) + (1 - t) * log(1 - p)), p = sigmoid(prediction);
               reduction: mean, or sum, or none
    Backward:  d_prediction = d_value * weight * ((1 - t) * p - pos_weight * t * (1 - p)) / count,
               for sum and none without the division
    Hessian:   weight * (1 - t + pos_weight * t) * p * (1 - p) / count for each element; draws take answers that are
               yes with probability p
    Shapes:    prediction, target: any, the same;  weight, pos_weight: such as broadcast to it;
               value: (), for none that of the prediction
    Raises:    ShapeError unless the shapes fit; DtypeError unless prediction and target are floating point
    Source:    Goodfellow, Bengio and Courville 2016, "Deep Learning", section 6.2.2.2; pos_weight is that of
               torch.nn.BCEWithLogitsLoss

    Example:
        >>> BCEWithLogitsLoss()(torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0]))
        tensor(0.2201)
    """

    outputs = "sigmoid"

    def __init__(
        self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None
    ) -> None:
        require_reduction(self, reduction)
        self.reduction = reduction
        self.weight = held_weight(self, "weight", weight)
        self.pos_weight = held_weight(self, "pos_weight", pos_weight)

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        require_same_shape(self, prediction, target)
        require_floating(self, prediction, "prediction")
        require_floating(self, target, "target")
        weight, pos_weight = self._weights(prediction)
        value = F.binary_cross_entropy_with_logits(
            prediction, target, weight, reduction=self.reduction, pos_weight=pos_weight
        )
        return value, (prediction, target)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor]) -> Tensor:
        require_saved(self, saved, Tensor, Tensor)
        prediction, target = saved
        require_d_value(self, d_value, prediction.shape if self.reduction == "none" else (), prediction)
        scale = per_element(self.reduction, d_value, prediction.numel())
        weight, pos_weight = self._weights(prediction)
        if pos_weight is None:  # then both terms together are p - t
            d_prediction = prediction.sigmoid().sub_(target)
        else:
            p = prediction.sigmoid()
            d_prediction = (1 - target) * p - pos_weight * target * (1 - p)
        if weight is not None:
            d_prediction = d_prediction * weight
        return d_prediction.mul_(scale).to(prediction.dtype)

    def _second(self, saved: tuple[Tensor, Tensor]) -> Tensor:
        """The second derivative of each value."""
        (prediction, target), (weight, pos_weight) = saved, self._weights(saved[0])
        p = prediction.sigmoid()
        second = p * (1 - p)
        if pos_weight is not None:
            second = second * (1 - target + pos_weight * target)
        return second if weight is None else second * weight

    tangent, backward_tangent = elementwise(_second)

    def weight_of(self, prediction: Tensor, target: Tensor) -> int:  # noqa: ARG002
        return prediction.numel()  # neither weight nor pos_weight is in the divisor, as in torch

    def hessian_root(self, prediction: Tensor, target: Tensor, draws: int | None = None) -> Iterator[Tensor]:
        require_same_shape(self, prediction, target)
        p, (weight, pos_weight) = prediction.sigmoid(), self._weights(prediction)
        each = torch.ones_like(p) if pos_weight is None else 1 - target + pos_weight * target
        each = each * per_element(self.reduction, 1.0, prediction.numel()) * (1.0 if weight is None else weight)
        if draws is None:
            yield from columns_of_diagonal(each * p * (1 - p))
            return
        for _ in range(draws):
            yield (p - torch.bernoulli(p)) * (each.sqrt() * drawn_share(draws))

    def _weights(self, prediction: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return (
            fitting_weight(self, "weight", self.weight, prediction),
            fitting_weight(self, "pos_weight", self.pos_weight, prediction),
        )
