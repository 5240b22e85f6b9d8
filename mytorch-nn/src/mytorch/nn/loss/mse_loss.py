"""The squared error."""

from collections.abc import Iterator

import torch
from torch import Tensor

from mytorch.core import Loss, require_d_value, require_floating, require_same_shape, require_saved
from mytorch.nn.loss._reduction import (
    columns_of_diagonal,
    drawn_share,
    per_element,
    real,
    reduce,
    require_reduction,
    scaled,
)
from mytorch.nn.loss._tangents import elementwise


class MSELoss(Loss):
    """The squared distance of predictions from targets.

    Forward:   value = average of (prediction - target)^2 over every element; reduction: mean, or sum, or none
    Backward:  d_prediction = d_value * 2 * (prediction - target) / count, for sum and none without the division
    Hessian:   2 / count for each element; draws take targets from normal distributions with a variance of 1 / 2
    Shapes:    prediction, target: any, the same;  value: (), for none that of the prediction
    Raises:    ShapeError unless both have one shape; DtypeError unless the prediction is floating point and the
               target real
    Source:    Goodfellow, Bengio and Courville 2016, "Deep Learning", section 5.1.4

    Example:
        >>> MSELoss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        tensor(2.)
    """

    outputs = "numbers"

    def __init__(self, reduction: str = "mean") -> None:
        require_reduction(self, reduction)
        self.reduction = reduction

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        require_same_shape(self, prediction, target)
        if target.dtype is not prediction.dtype or not prediction.is_floating_point():
            require_floating(self, prediction, "prediction")
            target = real(self, target, prediction.dtype)
        difference = prediction - target
        return reduce(self.reduction, difference.square()), difference

    def backward(self, d_value: float | Tensor, difference: Tensor) -> Tensor:
        if not isinstance(difference, Tensor):
            require_saved(self, difference, Tensor)
        if not isinstance(d_value, float):
            require_d_value(self, d_value, difference.shape if self.reduction == "none" else (), difference)
            d_value = torch.as_tensor(d_value, dtype=difference.dtype)
        return scaled(difference, 2 * per_element(self.reduction, d_value, difference.numel()))

    tangent, backward_tangent = elementwise(lambda *_: 2.0)

    def weight_of(self, prediction: Tensor, target: Tensor) -> int:  # noqa: ARG002
        return prediction.numel()

    def hessian_root(self, prediction: Tensor, target: Tensor, draws: int | None = None) -> Iterator[Tensor]:
        require_same_shape(self, prediction, target)
        each = torch.ones_like(prediction).mul_(2 * per_element(self.reduction, 1.0, prediction.numel()))
        if draws is None:
            yield from columns_of_diagonal(each)
            return
        for _ in range(draws):
            yield torch.randn_like(prediction).mul_(each.sqrt() * drawn_share(draws))
