"""What losses share that state how they change along a direction."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mytorch.core import Loss


def tangent_of_value(loss: Loss, t_prediction: Tensor, saved: Any, axis: int | None = None) -> Tensor:
    """The change of a loss's value: its gradient times that of the prediction, added up as the reduction says.

    axis: which axis of the prediction holds the numbers of one value where the reduction is "none"; None if each
        number has a value of its own.
    """
    parts: Tensor = loss.backward(1.0, saved) * t_prediction
    if loss.reduction != "none":
        return parts.sum()
    return parts if axis is None else parts.sum(axis)
