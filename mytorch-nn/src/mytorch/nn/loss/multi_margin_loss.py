"""The hinge loss of several classes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Buffer,
    Directions,
    Loss,
    ShapeError,
    readable,
    require_dimensions,
    require_floating,
    require_input,
    require_range,
    require_saved,
)
from mytorch.nn._tangents import backward_of_both
from mytorch.nn._visible import out_of_range
from mytorch.nn.loss._classes import require_class_weights, require_indices, require_weight_fits
from mytorch.nn.loss._reduction import CODES, reduce, require_reduction, upstream, upstream_tensor, wide
from mytorch.nn.loss._tangents import tangent_of_value
from mytorch.plugins import shown

aten, direct = torch.ops.aten, torch._C._nn  # through the second, which has no backward passes, a call takes half


class MultiMarginLoss(Loss):
    """Scores x of which the target's class should have the largest by a margin.

    Forward:   z[i] = margin - x[target] + x[i] for the other classes i, x = prediction;
               value = average over the rows of weight[target] * (sum of max(0, z[i])^p) / classes;
               reduction: mean, or sum, or none
    Backward:  d_prediction[i] = d_value * weight[target] * p * max(0, z[i])^(p - 1) where z[i] > 0, / classes / rows,
               and minus the sum of these at the target's class; for sum and none without the division by the rows
    Kernel:    aten.multi_margin_loss_backward
    Shapes:    prediction: (batch, classes) or (classes,);  target: int64, (batch,) or ();  weight: (classes,);
               value: (), for none that of the target
    Raises:    ArgumentError unless p is 1 or 2, for weights below 0, and on the CPU for a class that the prediction
               has not; ShapeError or DtypeError unless target and weight fit the prediction
    Source:    Weston and Watkins 1999, "Support vector machines for multi-class pattern recognition"; the division by
               the classes is that of torch.nn.MultiMarginLoss

    Example:
        >>> MultiMarginLoss()(torch.tensor([[2.0, 1.5, 0.0]]), torch.tensor([0]))
        tensor(0.1667)
    """

    outputs = "scores"
    conformance: ClassVar[dict[str, Any]] = {"inputs": [(5, 3), torch.tensor([0, 2, 1, 1, 0])]}

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, reduction: str = "mean") -> None:
        require_reduction(self, reduction)
        require_range(self, "margin", margin)
        if type(p) is not int or p not in (1, 2):
            raise ArgumentError(f"MultiMarginLoss: p must be 1 or 2, got {shown(p)}")
        if weight is not None:
            require_class_weights(self, weight)
        self.weight = None if weight is None else Buffer(weight)
        self.p, self.margin, self.reduction = p, margin, reduction

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        self._check(prediction, target)
        if not prediction.numel():  # of nothing, the kernel returns whatever stood in memory
            return reduce(self.reduction, prediction.new_zeros(0)), (prediction, target)
        x = wide(prediction)
        try:  # the kernel for the CPU looks at each class anyway
            value = direct.multi_margin_loss(x, target, *self._settings(x))
        except RuntimeError as error:
            self._require_classes(prediction, target, error)
            raise
        return value.to(prediction.dtype), (prediction, target)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor]) -> Tensor:
        require_saved(self, saved, Tensor, Tensor)
        prediction, target = saved
        require_weight_fits(self, self.weight, prediction, prediction.dim() - 1)
        x = wide(prediction)
        d_each = upstream_tensor(self, d_value, target.shape, x)
        d_x: Tensor = aten.multi_margin_loss_backward(d_each, x, target, *self._settings(x))
        return d_x.to(prediction.dtype)

    def tangent(self, t_prediction: Tensor, saved: tuple[Tensor, Tensor], along: Directions) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return tangent_of_value(self, t_prediction, saved, -1), t_prediction

    def backward_tangent(
        self,
        d_value: float | Tensor,
        t_d_value: float | Tensor,
        saved: tuple[Tensor, Tensor],
        t_prediction: Tensor,
        along: Directions,
    ) -> tuple[Tensor, Tensor]:
        d_prediction, t_d_prediction = backward_of_both(self, d_value, t_d_value, saved, t_prediction, along)
        if self.p == 2:
            t_d_prediction = t_d_prediction + self._bend(d_value, saved, t_prediction)
        return d_prediction, t_d_prediction

    def _bend(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor], t_x: Tensor) -> Tensor:
        """For p = 2, how the gradient changes: by 2 * t_z[i] / classes where z[i] > 0, weighted as it is."""
        x, target = saved
        at = target.unsqueeze(-1)
        z, t_z = (self.margin + x - x.gather(-1, at)), t_x - t_x.gather(-1, at)
        each = upstream(self, d_value, target.shape, x) * torch.ones_like(x[..., 0])
        if self.weight is not None:
            each = each * self.weight.value[target]
        bend = t_z.where(z > 0, 0) * (2 * each / x.shape[-1]).unsqueeze(-1)  # 0 at the target's class, as t_z is
        return bend.scatter_add(-1, at, -bend.sum(-1, keepdim=True))

    def _settings(self, x: Tensor) -> tuple[Any, ...]:
        """The kernels' arguments: p, margin, weight, reduction."""
        weight = None if self.weight is None else self.weight.value.to(x.dtype)
        return self.p, self.margin, weight, CODES[self.reduction]

    def weight_of(self, prediction: Tensor, target: Tensor) -> int:  # noqa: ARG002
        return target.numel()  # weights of classes are not in the divisor, as in torch

    def _check(self, prediction: Tensor, target: Tensor) -> None:
        require_dimensions(self, prediction, 1, 2, name="prediction")
        require_floating(self, prediction, "prediction")
        require_input(self, target, "target")
        if not prediction.shape[-1]:
            raise ShapeError(
                f"MultiMarginLoss: prediction must have at least one class, got {tuple(prediction.shape)}"
            )
        require_weight_fits(self, self.weight, prediction, prediction.dim() - 1)
        require_indices(self, prediction, target, prediction.shape[:-1])
        if not target.is_cpu:
            self._require_classes(prediction, target)

    def _require_classes(self, prediction: Tensor, target: Tensor, error: RuntimeError | None = None) -> None:
        seen, count = readable(target), prediction.shape[-1]
        if seen is not None and (unknown := out_of_range(seen, count)) is not None:
            raise ArgumentError(
                f"MultiMarginLoss: target must be a class between 0 and {count - 1}, as the prediction of "
                f"{tuple(prediction.shape)} has, got {unknown}"
            ) from error
