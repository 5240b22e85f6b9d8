"""Yes-or-no questions about each row, averaged over the questions."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import Loss, ShapeError, require_floating, require_same_shape, require_saved
from mytorch.nn.loss._elementwise import fitting_weight, held_weight
from mytorch.nn.loss._reduction import real, reduce, require_reduction, scale_, upstream
from mytorch.nn.loss._tangents import elementwise, last_axis


class MultiLabelSoftMarginLoss(Loss):
    """Cross entropy of probabilities p = sigmoid(prediction) with a target t for each label, 0 or 1, averaged by row.

    Forward:   value = average over the rows of (sum of -weight * (t * log(p) + (1 - t) * log(1 - p))) / labels;
               reduction: mean, or sum, or none, one number a row
    Backward:  d_prediction = d_value * weight * (p - t) / labels / rows, for sum and none without the division by the
               rows
    Shapes:    prediction, target: (..., labels);  weight: such as broadcasts to it;  value: (), for none (...)
    Raises:    ShapeError unless the shapes fit; DtypeError unless the prediction is floating point and the target real
    Source:    Nam et al. 2014, "Large-scale multi-label text classification - revisiting neural networks"

    Example:
        >>> MultiLabelSoftMarginLoss()(torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 0.0]]))
        tensor(0.2201)
    """

    outputs = "sigmoid"
    conformance: ClassVar[dict[str, Any]] = {"inputs": [(5, 3), torch.linspace(0, 1, 15).reshape(5, 3)]}

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        require_reduction(self, reduction)
        self.reduction = reduction
        self.weight = held_weight(self, "weight", weight)

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        require_same_shape(self, prediction, target)
        require_floating(self, prediction, "prediction")
        if not prediction.dim() or not prediction.shape[-1]:
            raise ShapeError(
                "MultiLabelSoftMarginLoss: prediction must be (..., labels) with at least one label, "
                f"got {tuple(prediction.shape)}"
            )
        t = real(self, target, prediction.dtype)
        weight = fitting_weight(self, "weight", self.weight, prediction)
        values = F.binary_cross_entropy_with_logits(prediction, t, weight, reduction="none").mean(-1)
        return reduce(self.reduction, values), (prediction, t)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor]) -> Tensor:
        require_saved(self, saved, Tensor, Tensor)
        prediction, t = saved
        scale = upstream(self, d_value, prediction.shape[:-1], prediction)
        scale = scale / prediction.shape[-1]
        if isinstance(scale, Tensor) and scale.dim():
            scale = scale.unsqueeze(-1)
        slope = prediction.sigmoid().sub_(t)
        weight = fitting_weight(self, "weight", self.weight, prediction)
        return scale_(slope if weight is None else slope * weight, scale)

    def _second(self, saved: tuple[Tensor, Tensor]) -> Tensor:
        """The second derivative of the value of each row by each of its numbers."""
        p, weight = saved[0].sigmoid(), fitting_weight(self, "weight", self.weight, saved[0])
        second = p * (1 - p) / p.shape[-1]
        return second if weight is None else second * weight

    tangent, backward_tangent = elementwise(_second, last_axis)

    def weight_of(self, prediction: Tensor, target: Tensor) -> int:  # noqa: ARG002
        return prediction.shape[:-1].numel()
