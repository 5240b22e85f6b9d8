"""The cross entropy of classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import (
    ArgumentError,
    Buffer,
    DtypeError,
    Loss,
    ShapeError,
    require_d_value,
    require_floating,
    require_input,
    require_range,
    require_same_shape,
    require_saved,
)
from mytorch.nn.loss._classes import (
    along,
    class_axis,
    require_class_weights,
    require_weight_fits,
    unknown_class,
    without,
)
from mytorch.nn.loss._reduction import per_element, require_reduction


class CrossEntropyLoss(Loss):
    """Cross entropy of probabilities p = softmax(prediction) over the classes with the wanted ones.

    Wanted:    q = weight * ((1 - s) * t + s / classes), s = label_smoothing;
               t: 1 at the target's class, else 0 (no class at all for ignore_index), or the target itself
    Forward:   value = sum of -q * log(p) over the classes, then reduction: sum, or none, or
               mean: divided by the sum of weight[target] over what is not ignored; for probabilities by their count;
               of nothing, NaN as in torch
    Backward:  d_prediction = d_value * (p * (sum of q over the classes) - q), divided as the value is;
               0 for the mean of nothing
    Shapes:    prediction: (batch, classes, ...) or (classes,);  weight: (classes,)
               target: int64 class indices (batch, ...) or (), or probabilities in the shape of the prediction;
               value: (), for none (batch, ...)
    Raises:    ShapeError or DtypeError unless target and weight fit the prediction; ArgumentError for weights below 0,
               and on the CPU for a class that the prediction has not

    Example:
        >>> CrossEntropyLoss()(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
        tensor(0.2201)
    """

    outputs = "softmax"

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        require_reduction(self, reduction)
        require_range(self, "label_smoothing", label_smoothing, 0, 1)
        if type(ignore_index) is not int:
            raise ArgumentError(f"CrossEntropyLoss: ignore_index must be a whole number, got {ignore_index!r}")
        if weight is not None:
            require_class_weights(self, weight)
        self.weight = None if weight is None else Buffer(weight)
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        self._check(prediction, target)
        try:
            value = F.cross_entropy(
                prediction,
                target,
                None if self.weight is None else self.weight.value,
                ignore_index=self.ignore_index,
                reduction=self.reduction,
                label_smoothing=self.label_smoothing,
            )
        except IndexError as error:  # the kernel looks at every class anyway
            raise unknown_class(self, prediction, target) from error
        return value, (prediction, target)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor]) -> Tensor:
        require_saved(self, saved, Tensor, Tensor)
        prediction, target = saved
        axis = class_axis(prediction)
        rows = without(prediction.shape, axis)
        require_d_value(self, d_value, rows if self.reduction == "none" else ())
        if isinstance(d_value, Tensor) and d_value.dim():
            d_value = d_value.unsqueeze(axis)
        if target.is_floating_point():
            return self._of_probabilities(d_value, prediction, target, axis).to(prediction.dtype)
        return self._of_indices(d_value, prediction, target.unsqueeze(axis), axis)

    def weight_of(self, prediction: Tensor, target: Tensor) -> int | Tensor:
        if target.is_floating_point():
            return without(prediction.shape, class_axis(prediction)).numel()
        counted = target != self.ignore_index
        return counted.count_nonzero() if self.weight is None else self._weights(target, counted).sum()

    def _weights(self, target: Tensor, counted: Tensor) -> Tensor:
        """The weight of each target's class, 0 for those that are ignored."""
        weight = self.weight.value[target.where(counted, 0)]  # type: ignore[union-attr]
        return weight * counted

    def _of_probabilities(self, d_value: Any, prediction: Tensor, target: Tensor, axis: int) -> Tensor:
        classes, s = prediction.shape[axis], self.label_smoothing
        q = target * (1 - s) + s / classes if s else target
        if self.weight is not None:
            q = q * along(self.weight.value, prediction, axis)
        scale = per_element(self.reduction, d_value, prediction.numel() // max(classes, 1))
        return prediction.softmax(axis).mul_(q.sum(axis, keepdim=True)).sub_(q).mul_(scale)

    def _of_indices(self, d_value: Any, prediction: Tensor, target: Tensor, axis: int) -> Tensor:
        counted = target != self.ignore_index
        index = target.where(counted, 0)
        weight = None if self.weight is None else self.weight.value
        # the weight of each target's class: (batch, 1, ...)
        hit = counted.to(prediction.dtype) if weight is None else self._weights(target, counted)
        if self.reduction == "mean":
            total = hit.sum()  # 0 only if all are ignored, or if the weights are
            scale = d_value / (total if weight is None else total.where(total != 0, torch.inf))
        else:
            scale = d_value * torch.ones_like(hit)
        scale = scale.where(counted, 0)  # if all are ignored, 1 / 0 must not make them NaN
        s, classes = self.label_smoothing, prediction.shape[axis]
        d_prediction = prediction.softmax(axis)
        if s:
            every = prediction.new_ones(classes) if weight is None else weight
            hit = hit * (1 - s)
            d_prediction.mul_(scale * (hit + every.sum() * (s / classes)))
            d_prediction.sub_(scale * (along(every, prediction, axis) * (s / classes)))
        else:
            d_prediction.mul_(scale * hit)
        return d_prediction.scatter_add_(axis, index, -(scale * hit).to(prediction.dtype))

    def _check(self, prediction: Tensor, target: Tensor) -> None:
        require_input(self, prediction, "prediction")
        require_input(self, target, "target")
        require_floating(self, prediction, "prediction")
        if prediction.dim() == 0:
            raise ShapeError("CrossEntropyLoss: prediction must have an axis of classes, got a tensor without axes")
        axis = class_axis(prediction)
        if not prediction.shape[axis]:
            raise ShapeError(
                f"CrossEntropyLoss: prediction must have at least one class, got {tuple(prediction.shape)}"
            )
        require_weight_fits(self, self.weight, prediction, axis)
        rows = without(prediction.shape, axis)
        if target.is_floating_point():
            if target.shape == rows:
                raise DtypeError(
                    f"CrossEntropyLoss: target must be int64 where it holds class indices, got {target.dtype}; "
                    "convert with .long()"
                )
            require_same_shape(self, prediction, target)
        elif target.dtype != torch.int64:
            raise DtypeError(
                "CrossEntropyLoss: target must be int64 class indices or floating-point probabilities, "
                f"got {target.dtype}; convert with .long() or .float()"
            )
        elif target.shape != rows:
            raise ShapeError(
                f"CrossEntropyLoss: target must have the shape {tuple(rows)}, a class index for each prediction of "
                f"{tuple(prediction.shape)}, got {tuple(target.shape)}"
            )
