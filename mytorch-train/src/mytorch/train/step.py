"""One training step."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from mytorch.core import Module, Optimizer, add_path
from mytorch.train.clip_gradients import Norm, clip_gradient_values, clip_gradients
from mytorch.train.gradients import gradients
from mytorch.train.half_precision.half_precision import HalfPrecision
from mytorch.train.mean_loss import Weight


def step(
    net: Module,
    loss: Module,
    optimizer: Optimizer,
    inputs: Any,
    targets: Any,
    clip_grad_norm: float | None = None,
    clip_grad_value: float | None = None,
    precision: HalfPrecision | None = None,
) -> tuple[Tensor, Weight]:
    """One training step from gradients that are None to gradients that are None. Returns what `gradients` returns.

    clip_grad_norm: if the norm over all gradients is above it, they are all scaled down by the same factor.
    clip_grad_value: every number of the gradients is clipped to the range from -clip_grad_value to clip_grad_value.
    precision: how gradients are computed in half precision; an update that it skips changes nothing.
    Call it under torch.inference_mode() to save the checks of autograd. An error names the path to the layer.
    """
    try:
        take = gradients if precision is None else precision.gradients
        result = take(net, loss, inputs, targets)
    except Exception as error:
        add_path(error, net)
        raise
    update(optimizer, clip_grad_norm, clip_grad_value, precision)
    return result


def update(
    optimizer: Optimizer,
    clip_grad_norm: float | None = None,
    clip_grad_value: float | None = None,
    precision: HalfPrecision | None = None,
    norm: Norm | None = None,
) -> None:
    """Clip the gradients, update the parameters and set the gradients to None.

    norm: of the gradients, where other processes have some of them.
    """
    if precision is None:
        _update(optimizer, clip_grad_norm, clip_grad_value, norm)
    else:
        precision.update(optimizer, partial(_update, optimizer, clip_grad_norm, clip_grad_value, norm), norm)
    optimizer.zero_grad()


def _update(
    optimizer: Optimizer, clip_grad_norm: float | None, clip_grad_value: float | None, norm: Norm | None
) -> None:
    if clip_grad_norm is not None:
        clip_gradients(optimizer, clip_grad_norm, norm)
    if clip_grad_value is not None:
        clip_gradient_values(optimizer, clip_grad_value)
    optimizer.step()
