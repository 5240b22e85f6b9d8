"""A training step in which each parameter is updated during the backward pass, as soon as its gradient is complete."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from mytorch.core import Module, Optimizer, Parameter, add_path
from mytorch.train.clip_gradients import clip_values, require_bound
from mytorch.train.completion import completion
from mytorch.train.gradients import gradients
from mytorch.train.mean_loss import Weight


def step_in_backward(
    net: Module,
    loss: Module,
    optimizer: Optimizer,
    inputs: Any,
    targets: Any,
    clip_grad_value: float | None = None,
) -> tuple[Tensor, Weight]:
    """Like `step`, with the same results, but gradients need the memory of the largest layer, not that of the model.

    A parameter is updated, and its gradient freed, when the gradient is complete, as `completion` defines it.
    Parameters whose gradients are not complete by the end, such as those of the loss, are updated then. After an error
    or Ctrl-C during the backward pass, the layers that it has passed are updated, and the others are not.

    The results are the same if every module holds, as attributes, all parameters that it reads in its backward. A
    module that reads its child's weight after the child's backward gets the updated value, which is not detected.

    clip_grad_value: as in `step`, since each number of a gradient is clipped by itself.
    Raises ArgumentError for an optimizer that must see all gradients at once; LateGradientError if a module adds to
    the gradient of a parameter that it does not hold itself, after the backward of those that do.
    """
    optimizer.require_steps_apart()
    if clip_grad_value is not None:
        require_bound("step_in_backward: clip_grad_value", clip_grad_value)
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    try:
        with completion(
            net, trained, partial(update_only, optimizer, clip_grad_value=clip_grad_value), "optimizer_in_backward"
        ):
            result = gradients(net, loss, inputs, targets)
    except Exception as error:
        add_path(error, net)
        raise
    optimizer.zero_grad()
    return result


def update_only(optimizer: Optimizer, complete: list[Parameter], clip_grad_value: float | None = None) -> None:
    """Update some parameters by their gradients, which are clipped first."""
    if clip_grad_value is not None:
        clip_values([p.grad for p in complete if p.grad is not None], clip_grad_value)
    optimizer.step_only(complete)
