"""What a learning rule adds to the gradients for several batches, as if they were one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Parameter, Rule, kind_of
from mytorch.train.accumulate import inverse, joined, part_of_mean, require_as_many
from mytorch.train.mean_loss import Weight, sums

OWN = "gradients_of_several"
"""The method of a rule whose gradient is no mean over the rows, but that can look at several batches at once."""


def gradients_of_one(rule: Rule, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:
    """Let a rule add to the gradients. Raises ArgumentError unless it returns a loss and a weight."""
    result: Any = rule.gradients(net, loss, inputs, targets)
    if type(result) is not tuple or len(result) != 2:
        raise ArgumentError(
            f"rule: gradients of {type(rule).__name__} must return the loss and its weight, as "
            f"mytorch.train.gradients does, got {kind_of(result)}"
        )
    value, weight = result
    return value if isinstance(value, Tensor) else torch.as_tensor(value), weight


def gradients_of_several(
    rule: Rule, net: Module, loss: Module, inputs: Sequence[Any], targets: Sequence[Any]
) -> tuple[Tensor, Weight]:
    """Let a rule add to the gradients for several batches. Returns the loss over all of them, and its weight.

    Formula:  d = sum(weight * d of the batch) / sum(weight), and for a loss that is a sum, d = sum(d of the batch);
              what a rule with a method of this name makes of the batches itself
    The gradients must be None at first. What a rule teaches itself, such as the heads of local losses, learns from one
    batch after the other.
    """
    require_as_many("rule", inputs, targets)
    if callable(own := getattr(rule, OWN, None)):
        found: tuple[Tensor, Weight] = own(net, loss, inputs, targets)
        return found
    held, summed = net.param(), sums(loss)
    totals: dict[Parameter, Tensor] = {}
    values, weights = [], []
    for x, t in zip(inputs, targets, strict=True):
        value, weight = gradients_of_one(rule, net, loss, x, t)
        values.append(value)
        weights.append(weight)
        for parameter in held:
            if parameter.grad is not None:
                part = part_of_mean(parameter.grad, weight, summed)
                totals[parameter] = totals[parameter].add_(part) if parameter in totals else part
                parameter.grad = None
    weight = sum(weights[1:], weights[0])
    for parameter, total in totals.items():
        parameter.grad = total if summed else total.mul_(inverse(weight, values[0].dtype))
    return joined(values, weights, summed), weight
