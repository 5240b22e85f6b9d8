"""One training step by the gradients of several batches, as if they were one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Optimizer, add_path
from mytorch.train.clip_gradients import gradients_of
from mytorch.train.gradients import gradients
from mytorch.train.half_precision.half_precision import HalfPrecision
from mytorch.train.mean_loss import Weight, sums
from mytorch.train.step import update


def step_accumulated(
    net: Module,
    loss: Module,
    optimizer: Optimizer,
    inputs: Sequence[Any],
    targets: Sequence[Any],
    clip_grad_norm: float | None = None,
    clip_grad_value: float | None = None,
    precision: HalfPrecision | None = None,
) -> tuple[Tensor, Weight]:
    """Like `step` on all rows of several batches together, with the memory for activations of a single batch.

    inputs, targets: lists with an entry for each batch; the batches may differ in size.
    Formula:  d = sum(weight * d of the batch) / sum(weight), with the weight that the loss has in means over batches;
              of a loss with reduction "sum": d = sum(d of the batch)
    Returns the loss over all batches and the sum of their weights. Anything that a layer computes over a batch, such
    as the statistics of batch normalisation, is computed for each of them separately.
    Raises ArgumentError unless there are as many batches of inputs as of targets.
    """
    require_as_many("step_accumulated", inputs, targets)
    values, weights = [], []
    take = gradients if precision is None else precision.gradients
    try:
        for x, t in zip(inputs, targets, strict=True):
            value, weight = take(net, loss, x, t, weighted=True)
            values.append(value)
            weights.append(weight)
    except Exception as error:
        add_path(error, net)
        raise
    if not sums(loss) and (grads := gradients_of(optimizer)):
        torch._foreach_mul_(grads, inverse(sum(weights[1:], weights[0]), values[0].dtype))
    update(optimizer, clip_grad_norm, clip_grad_value, precision)
    return joined(values, weights, sums(loss)), sum(weights[1:], weights[0])


def accumulates(take_step: Any) -> bool:
    """Whether a step takes lists of batches."""
    return getattr(take_step, "accumulates", False) or getattr(take_step, "func", take_step) is step_accumulated


def require_as_many(owner: str, inputs: Sequence[Any], targets: Sequence[Any]) -> None:
    """Raise ArgumentError unless there are as many batches of inputs as of targets."""
    if len(inputs) != len(targets):
        raise ArgumentError(
            f"{owner}: targets must be of as many batches as inputs, {len(inputs)}, got {len(targets)}"
        )


def inverse(total: Weight, dtype: torch.dtype) -> Any:
    """1 / sum(weight); 0 if the batches count for nothing, whose gradients are 0."""
    if isinstance(total, Tensor):
        total = total.to(torch.promote_types(dtype, torch.float32))
        return torch.where(total == 0, torch.zeros_like(total), total.reciprocal())
    return 1 / total if total else 0.0


def joined(values: Sequence[Tensor], weights: Sequence[Weight], summed: bool) -> Tensor:
    """The loss over all batches; one of weight 0 counts for nothing, whatever its value."""
    parts = [part_of_mean(value, weight, summed) for value, weight in zip(values, weights, strict=True)]
    total = sum(weights[1:], weights[0])
    joined = torch.stack(parts).sum()
    if not summed:
        joined = joined / total if isinstance(total, Tensor) or total else torch.full_like(joined, torch.nan)
    return joined.to(values[0].dtype)


def part_of_mean(value: Tensor, weight: Weight, summed: bool) -> Tensor:
    """What a batch adds to the sum that is divided by the weights; one of weight 0 adds nothing."""
    part = value if summed else value * weight
    if isinstance(weight, Tensor):
        return torch.where(weight == 0, torch.zeros_like(part), part)
    return part if weight else torch.zeros_like(part)
