"""The negative log-likelihood of classes."""

from __future__ import annotations

import torch
from torch import Tensor

from mytorch.core import (
    Buffer,
    Loss,
    ShapeError,
    require_floating,
    require_input,
    require_saved,
    require_whole,
)
from mytorch.nn.loss._classes import (
    arranged,
    class_axis,
    require_class_weights,
    require_indices,
    require_known_classes,
    require_weight_fits,
    unknown_class,
    without,
)
from mytorch.nn.loss._reduction import CODES, require_reduction, upstream_tensor
from mytorch.nn.loss._tangents import elementwise

aten = torch.ops.aten


class NLLLoss(Loss):
    """The negative of the predicted log-probability of the target's class. CrossEntropyLoss takes scores instead.

    Forward:   value = sum of -weight[target] * prediction[target] over the targets that are not ignore_index, then
               reduction: sum, or none, or mean: divided by the sum of their weight[target]; NaN of nothing
    Backward:  d_prediction = -d_value * weight[target] at the target's class, else 0, divided as the value is;
               0 for the mean of nothing
    Kernel:    aten.nll_loss_backward; with further axes aten.nll_loss2d_backward
    Shapes:    prediction: (batch, classes, ...) or (classes,);  weight: (classes,);
               target: int64, (batch, ...) or ();  value: (), for none that of the target
    Raises:    ShapeError or DtypeError unless target and weight fit the prediction; ArgumentError for weights below 0,
               and on the CPU for a class that the prediction has not
    Source:    Goodfellow, Bengio and Courville 2016, "Deep Learning", section 6.2.1.1

    Example:
        >>> NLLLoss()(torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log(), torch.tensor([0, 1]))
        tensor(0.4904)
    """

    outputs = "log-softmax"

    def __init__(self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        require_reduction(self, reduction)
        require_whole(self, "ignore_index", ignore_index, None)
        if weight is not None:
            require_class_weights(self, weight)
        self.weight = None if weight is None else Buffer(weight)
        self.ignore_index, self.reduction = ignore_index, reduction

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        self._check(prediction, target)
        kernel = aten.nll_loss_forward if prediction.dim() <= 2 else aten.nll_loss2d_forward
        try:
            value, total = kernel(*arranged(prediction, target), *self._settings())
        except IndexError as error:  # the kernel looks at every class anyway
            raise unknown_class(self, prediction, target) from error
        return value.view(target.shape) if self.reduction == "none" else value, (prediction, target, total)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        require_saved(self, saved, Tensor, Tensor, Tensor)
        prediction, target, total = saved
        require_weight_fits(self, self.weight, prediction, class_axis(prediction))
        d_each = upstream_tensor(self, d_value, target.shape, prediction)
        x, t = arranged(prediction, target)
        if self.reduction == "mean":
            total = total.where(total != 0, torch.inf)
        kernel = aten.nll_loss_backward if prediction.dim() <= 2 else aten.nll_loss2d_backward
        x = x.contiguous()  # the gradient has the strides of x, and the kernel takes no others
        try:
            d_x: Tensor = kernel(d_each.view(t.shape) if d_each.dim() else d_each, x, t, *self._settings(), total)
        except IndexError as error:
            raise unknown_class(self, prediction, target) from error
        return d_x.view(prediction.shape)

    tangent, backward_tangent = elementwise(axis=class_axis)

    def weight_of(self, prediction: Tensor, target: Tensor) -> Tensor:
        return self._weights(prediction, target).sum()

    def _weights(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The weight of each target's class, 0 for those that are ignored."""
        counted = target != self.ignore_index
        if self.weight is None:
            return counted.to(prediction.dtype)
        return self.weight.value[target.where(counted, 0)] * counted

    def _settings(self) -> tuple[Tensor | None, int, int]:
        return None if self.weight is None else self.weight.value, CODES[self.reduction], self.ignore_index

    def _check(self, prediction: Tensor, target: Tensor) -> None:
        require_floating(self, prediction, "prediction")
        require_input(self, target, "target")
        axis = class_axis(prediction)
        if not prediction.dim() or not prediction.shape[axis]:
            raise ShapeError(
                "NLLLoss: prediction must be (batch, classes, ...) or (classes,) with at least one class, "
                f"got {tuple(prediction.shape)}"
            )
        require_weight_fits(self, self.weight, prediction, axis)
        require_indices(self, prediction, target, without(prediction.shape, axis))
        require_known_classes(self, prediction, target)
