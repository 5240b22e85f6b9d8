"""What losses share that state how they change along a direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from mytorch.core import Directions, Loss
from mytorch.nn._tangents import BackwardTangent, Tangent, backward_of_both
from mytorch.nn.loss._classes import without
from mytorch.nn.loss._reduction import upstream


def tangent_of_value(loss: Loss, t_prediction: Tensor, saved: Any, axis: int | None = None) -> Tensor:
    """The change of a loss's value: its gradient times that of the prediction, added up as the reduction says.

    axis: which axis of the prediction holds the numbers of one value where the reduction is "none"; None if each
        number has a value of its own.
    """
    parts: Tensor = loss.backward(1.0, saved) * t_prediction
    if loss.reduction != "none":
        return parts.sum()
    return parts if axis is None else parts.sum(axis)


def added_up(loss: Loss, t_values: Tensor) -> Tensor:
    """The change of a loss's value, of those of the numbers that it reduces; 0 of the mean of nothing."""
    if loss.reduction == "none":
        return t_values
    return t_values.sum() / max(t_values.numel(), 1) if loss.reduction == "mean" else t_values.sum()


def last_axis(prediction: Tensor) -> int:
    """Which axis is the last one."""
    return prediction.dim() - 1


def elementwise(
    second: Callable[[Any, Any], Tensor | float] | None = None, axis: Callable[[Tensor], int] | None = None
) -> tuple[Tangent, BackwardTangent]:
    """`tangent` and `backward_tangent` of a loss in which each number has a gradient of its own.

    t_d_prediction = (what backward makes of t_d_value) + (the upstream gradient of each value) * second * t_prediction

    second: the second derivative of the values, a function of the loss and of what its forward saved; None where it is
        0, as for straight lines.
    axis: a function of the prediction that says along which of its axes the numbers have one value together; None if
        each has a value of its own.
    """

    def tangent(loss: Any, t_prediction: Tensor, saved: Any, along: Directions) -> tuple[Tensor, Tensor]:  # noqa: ARG001
        return tangent_of_value(loss, t_prediction, saved, axis and axis(t_prediction)), t_prediction

    def backward_tangent(
        loss: Any,
        d_value: float | Tensor,
        t_d_value: float | Tensor,
        saved: Any,
        t_prediction: Tensor,
        along: Directions,
    ) -> tuple[Tensor, Tensor]:
        d_prediction, t_d_prediction = backward_of_both(loss, d_value, t_d_value, saved, t_prediction, along)
        if second is None:
            return d_prediction, t_d_prediction
        place = axis and axis(t_prediction)
        shape = t_prediction.shape if place is None else without(t_prediction.shape, place)
        each = upstream(loss, d_value, shape, t_prediction)
        if place is not None and isinstance(each, Tensor) and each.dim():
            each = each.unsqueeze(place)
        return d_prediction, t_d_prediction + second(loss, saved) * t_prediction * each

    return tangent, backward_tangent
