"""Distances of numbers from their targets that large differences do not dominate."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import ArgumentError, require_range, require_saved
from mytorch.nn.loss._elementwise import ElementwiseLoss
from mytorch.nn.loss._reduction import CODES, reduce, scale_, upstream_tensor
from mytorch.nn.loss._tangents import elementwise

aten = torch.ops.aten


class L1Loss(ElementwiseLoss):
    """The distance of predictions from targets.

    Forward:   value = average of |prediction - target| over every element; reduction: mean, or sum, or none
    Backward:  d_prediction = d_value * sign(prediction - target) / count, for sum and none without the division
    Shapes:    prediction, target: any, the same;  value: (), for none that of the prediction
    Raises:    ShapeError unless both have one shape; DtypeError unless the prediction is floating point and the
               target real
    Source:    Hastie, Tibshirani and Friedman 2009, "The Elements of Statistical Learning", section 10.6

    Example:
        >>> L1Loss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        tensor(1.)
    """

    outputs = "numbers"

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        difference = prediction - self._pair(prediction, target)
        return reduce(self.reduction, difference.abs()), difference

    def backward(self, d_value: float | Tensor, difference: Tensor) -> Tensor:
        require_saved(self, difference, Tensor)
        return scale_(difference.sign(), self._each(d_value, difference))

    tangent, backward_tangent = elementwise()


class SmoothL1Loss(ElementwiseLoss):
    """A distance that is squared where it is below beta.

    Forward:   value = average of e^2 / (2 * beta) where |e| < beta, else |e| - beta / 2; e = prediction - target;
               reduction: mean, or sum, or none;  beta 0 gives |e|
    Backward:  d_prediction = d_value * e / beta, kept between -1 and 1, / count, for sum and none without the division
    Kernel:    aten.smooth_l1_loss_backward
    Shapes:    prediction, target: any, the same;  value: (), for none that of the prediction
    Raises:    ArgumentError if beta is below 0; ShapeError unless both have one shape; DtypeError unless the
               prediction is floating point and the target real
    Source:    Girshick 2015, "Fast R-CNN"

    Example:
        >>> SmoothL1Loss()(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 4.0]))
        tensor(0.8125)
    """

    outputs = "numbers"

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        require_range(self, "beta", beta, 0)
        self.beta = beta

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        target = self._pair(prediction, target)
        value = F.smooth_l1_loss(prediction, target, reduction=self.reduction, beta=float(self.beta))
        return value, (prediction, target)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor]) -> Tensor:
        require_saved(self, saved, Tensor, Tensor)
        prediction, target = saved
        if not self.beta:  # by which the kernel would divide
            return scale_((prediction - target).sign_(), self._each(d_value, prediction))
        d_each = upstream_tensor(self, d_value, prediction.shape, prediction)
        d_prediction: Tensor = aten.smooth_l1_loss_backward(
            d_each, prediction, target, CODES[self.reduction], float(self.beta)
        )
        return d_prediction

    def _second(self, saved: tuple[Tensor, Tensor]) -> Tensor | float:
        """The second derivative of each value."""
        prediction, target = saved
        return ((prediction - target).abs() < self.beta).to(prediction.dtype) / self.beta if self.beta else 0.0

    tangent, backward_tangent = elementwise(_second)


class HuberLoss(ElementwiseLoss):
    """A squared distance that grows by straight lines from delta on.

    Forward:   value = average of e^2 / 2 where |e| <= delta, else delta * (|e| - delta / 2); e = prediction - target;
               reduction: mean, or sum, or none
    Backward:  d_prediction = d_value * e, kept between -delta and delta, / count,
               for sum and none without the division
    Kernel:    aten.huber_loss_backward
    Shapes:    prediction, target: any, the same;  value: (), for none that of the prediction
    Raises:    ArgumentError unless delta is above 0; ShapeError unless both have one shape; DtypeError unless the
               prediction is floating point and the target real
    Source:    Huber 1964, "Robust estimation of a location parameter"

    Example:
        >>> HuberLoss()(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 4.0]))
        tensor(0.8125)
    """

    outputs = "numbers"

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        require_range(self, "delta", delta, 0)
        if not delta:
            raise ArgumentError(f"HuberLoss: delta must be above 0, got {delta}")
        self.delta = delta

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        target = self._pair(prediction, target)
        value = F.huber_loss(prediction, target, reduction=self.reduction, delta=float(self.delta))
        return value, (prediction, target)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor]) -> Tensor:
        require_saved(self, saved, Tensor, Tensor)
        prediction, target = saved
        d_each = upstream_tensor(self, d_value, prediction.shape, prediction)
        d_prediction: Tensor = aten.huber_loss_backward(
            d_each, prediction, target, CODES[self.reduction], float(self.delta)
        )
        return d_prediction

    def _second(self, saved: tuple[Tensor, Tensor]) -> Tensor:
        """The second derivative of each value."""
        prediction, target = saved
        return ((prediction - target).abs() < self.delta).to(prediction.dtype)

    tangent, backward_tangent = elementwise(_second)
