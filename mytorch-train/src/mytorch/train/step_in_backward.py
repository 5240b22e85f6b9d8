"""A training step in which each parameter is updated during the backward pass, as soon as its gradient is complete."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mytorch.core import Module, Optimizer, add_path
from mytorch.train.completion import completion
from mytorch.train.mean_loss import Weight
from mytorch.train.step import gradients


def step_in_backward(
    net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
) -> tuple[Tensor, Weight]:
    """As `step`, with the same results, but gradients take the memory of the largest layer and not of the model.

    A parameter is updated, and its gradient freed, when the gradient is complete, as `completion` says. What is not
    complete by the end, such as parameters of the loss, is updated then. An error or Ctrl-C in mid-backward leaves the
    layers that it has passed updated, and the others not.

    The results are the same if every module holds, as attributes, all parameters that it reads in its backward.
    One that reads its child's weight after the child's backward sees it updated, which is not noticed.

    Raises ArgumentError for an optimizer that must see all gradients at once; LateGradientError if a module adds to
    the gradient of a parameter that it does not hold itself, after the backward of those that do.
    """
    optimizer.require_steps_apart()
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    try:
        with completion(net, trained, optimizer.step_only, "optimizer_in_backward"):
            result = gradients(net, loss, inputs, targets)
    except Exception as error:
        add_path(error, net)
        raise
    optimizer.zero_grad()
    return result
