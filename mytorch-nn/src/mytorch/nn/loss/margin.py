"""Losses of targets that are 1 or -1."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import require_range, require_saved
from mytorch.nn.loss._elementwise import ElementwiseLoss
from mytorch.nn.loss._reduction import reduce, require_signs, scale_, scaled
from mytorch.nn.loss._tangents import elementwise

EQUAL_FROM = 40.0
"""From here on log(1 + exp(z)) is z in float64, too."""

SIGNS = torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0] * 3).reshape(5, 3)


class SoftMarginLoss(ElementwiseLoss):
    """The logistic loss of scores x whose sign should be that of the target t, 1 or -1.

    Forward:   value = average of log(1 + exp(z)) over every element, z = -t * x, x = prediction; reduction: mean, or
               sum, or none; finite for large scores too, where torch's is not
    Backward:  d_prediction = -d_value * t * sigmoid(z) / count, for sum and none without the division
    Shapes:    prediction, target: any, the same;  value: (), for none that of the prediction
    Raises:    ShapeError unless both have one shape; DtypeError unless the prediction is floating point and the
               target real; on the CPU ArgumentError for a target that is not 1 or -1
    Source:    Cox 1958, "The regression analysis of binary sequences": the negative log-likelihood of its model

    Example:
        >>> SoftMarginLoss()(torch.tensor([2.0, -1.0]), torch.tensor([1.0, -1.0]))
        tensor(0.2201)
    """

    outputs = "scores"
    conformance: ClassVar[dict[str, Any]] = {"inputs": [(5, 3), SIGNS]}

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        t = self._pair(prediction, target)
        require_signs(self, t)
        z = (t * prediction).neg_()
        return reduce(self.reduction, F.softplus(z, threshold=EQUAL_FROM)), (z, t)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor]) -> Tensor:
        require_saved(self, saved, Tensor, Tensor)
        z, t = saved
        return scale_(z.sigmoid().mul_(t), -self._each(d_value, t))

    def _second(self, saved: tuple[Tensor, Tensor]) -> Tensor:
        """The second derivative of each value; the square of each target is 1."""
        p = saved[0].sigmoid()
        return p * (1 - p)

    tangent, backward_tangent = elementwise(_second)


class HingeEmbeddingLoss(ElementwiseLoss):
    """Distances x that should be small where the target t is 1, and at least the margin where it is -1.

    Forward:   value = average of x where t is 1, max(0, margin - x) where it is -1, x = prediction;
               reduction: mean, or sum, or none
    Backward:  d_prediction = d_value / count where t is 1, -d_value / count where it is -1 and x <= margin, else 0;
               for sum and none without the division
    Shapes:    prediction, target: any, the same;  value: (), for none that of the prediction
    Raises:    ShapeError unless both have one shape; DtypeError unless the prediction is floating point and the
               target real; ArgumentError unless the margin is a number, and on the CPU for a target that is
               not 1 or -1
    Source:    torch.nn.HingeEmbeddingLoss, whose definition it follows; with both cases squared: Hadsell, Chopra and
               LeCun 2006, "Dimensionality reduction by learning an invariant mapping"

    Example:
        >>> HingeEmbeddingLoss()(torch.tensor([0.5, 0.25]), torch.tensor([1.0, -1.0]))
        tensor(0.6250)
    """

    outputs = "numbers"
    conformance: ClassVar[dict[str, Any]] = {"inputs": [(5, 3), SIGNS]}

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        require_range(self, "margin", margin)
        self.margin = margin

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        t = self._pair(prediction, target)
        require_signs(self, t)
        short = self.margin - prediction
        values = prediction.where(t == 1, short.clamp(min=0))
        return reduce(self.reduction, values), t.where((t == 1) | (short >= 0), 0)

    def backward(self, d_value: float | Tensor, slope: Tensor) -> Tensor:
        require_saved(self, slope, Tensor)
        return scaled(slope, self._each(d_value, slope))

    tangent, backward_tangent = elementwise()
