"""The squared error."""

import torch
from torch import Tensor

from mytorch.core import Module, require_floating, require_same_shape
from mytorch.nn.loss import per_element, require_reduction, require_upstream

_mse_loss = torch.ops.aten.mse_loss.default  # F.mse_loss takes as long again to broadcast what is of one shape
_ENUM = {"none": 0, "mean": 1, "sum": 2}  # ATen's names of the reductions


class MSELoss(Module):
    """The squared distance of predictions from targets.

    Forward:   value = average of (prediction - target)^2 over every element; reduction: mean, or sum, or none
    Backward:  d_prediction = d_value * 2 * (prediction - target) / count, for sum and none without the division
    Shapes:    prediction, target: any, the same;  value: (), for none that of the prediction
    Raises:    ShapeError unless both have one shape; DtypeError unless the prediction is floating point
    """

    def __init__(self, reduction: str = "mean") -> None:
        require_reduction(self, reduction)
        self.reduction = reduction

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        require_same_shape(self, prediction, target)
        require_floating(self, prediction, "prediction")
        return _mse_loss(prediction, target, _ENUM[self.reduction]), (prediction, target)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor]) -> Tensor:
        prediction, target = saved
        require_upstream(self, d_value, prediction.shape if self.reduction == "none" else ())
        scale = 2 * per_element(self.reduction, d_value, prediction.numel())
        d_prediction = (prediction - target).mul_(scale)
        return d_prediction if d_prediction.dtype == prediction.dtype else d_prediction.to(prediction.dtype)
