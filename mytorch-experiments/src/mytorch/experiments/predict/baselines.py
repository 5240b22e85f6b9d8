"""What a network must be better than: a constant, and a linear model of the same inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mytorch.core import DataSet, Module, fetch
from mytorch.nn import Flatten, Linear, Sequential
from mytorch.optim import LBFGS
from mytorch.train.device import device_of, move
from mytorch.train.evaluation import judging, predict

ROWS, WEIGHTS = 20_000, 200_000
"""A linear model learns from at most so many rows, evenly spaced, and is left out with more weights."""
STEPS = 100
"""Steps of L-BFGS, at most: the problem is convex, and few are needed."""


def baselines(net: Module, loss: Module, training: DataSet, constant: str) -> dict[str, Module]:
    """A linear model and a constant, trained by the loss that the network was trained by, on its training rows.

    constant: what to call the constant: for classes it takes the commonest, for numbers the mean, as the loss has it.
    The linear model is logistic regression or least squares where the loss says so, with weights held small as by
    scikit-learn's defaults: 1/2 |w|^2 beside the sum of the losses, of inputs with mean 0 and deviation 1.
    Empty where inputs are no rows of numbers, or the network's outputs no columns.
    """
    inputs, targets = fetch(training, _spaced(len(training)))
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or not isinstance(targets, Tensor):
        return {}
    with judging(net):
        outputs = predict(net, move(inputs[:2], device_of(net)))
    if not isinstance(outputs, Tensor) or outputs.dim() != 2:
        return {}
    x = inputs.flatten(1)
    mean, std = x.mean(0), x.std(0, correction=0)
    x, std = (x - mean) / std.where(std > 0, 1), std.where(std > 0, 1)
    found = {}
    if x.shape[1] * outputs.shape[1] <= WEIGHTS:
        found["linear model"] = _in_units(_fitted(x, targets, loss, outputs.shape[1]), mean, std)
    found[constant] = _in_units(_fitted(torch.zeros_like(x), targets, loss, outputs.shape[1]), mean, std)
    return found


def _spaced(rows: int) -> Tensor:
    return torch.arange(min(rows, ROWS)) * rows // min(rows, ROWS)


def _fitted(x: Tensor, targets: Tensor, loss: Module, columns: int) -> Linear:
    """The linear map that makes the loss of all rows, and its weights, least."""
    linear = Linear(x.shape[1], columns, dtype=x.dtype)
    for parameter in linear.param():
        parameter.value.zero_()
    weight = linear.weight
    optimizer = LBFGS(linear.param(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        y, saved = linear.forward(x)
        value, saved_by_loss = loss.forward(y, targets)
        linear.backward(loss.backward(1.0, saved_by_loss), saved)
        weight.accumulate(weight.value / len(x))
        return value + weight.value.square().sum() / (2 * len(x))

    with torch.inference_mode():
        optimizer.step(closure)
    return linear


def _in_units(linear: Linear, mean: Tensor, std: Tensor) -> Module:
    """The same map of inputs that are not standardised."""
    weight = linear.weight.value / std
    linear.weight.value.copy_(weight)
    assert linear.bias is not None  # as it was built
    linear.bias.value.sub_(weight @ mean)
    return Sequential(Flatten(), linear).eval()
