"""Which step the options of a training ask for."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

from torch import Tensor

from mytorch.core import ArgumentError, Module, Optimizer
from mytorch.train.clip_gradients import require_bound
from mytorch.train.step import step
from mytorch.train.step_in_backward import step_in_backward


class TakeStep(Protocol):
    """Takes one training step and returns the loss, as `step` does."""

    def __call__(self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any) -> Tensor: ...


def choose_step(optimizer: Optimizer, clip_grad_norm: float | None, optimizer_in_backward: bool) -> TakeStep:
    """The step of these options; the plain one without any. Raises ArgumentError for what does not go together."""
    if clip_grad_norm is not None:
        require_bound("clip_grad_norm:", clip_grad_norm)
    if not optimizer_in_backward:
        return step if clip_grad_norm is None else partial(step, clip_grad_norm=clip_grad_norm)
    if clip_grad_norm is not None:
        raise ArgumentError(
            f"optimizer_in_backward: must be left out with clip_grad_norm, got clip_grad_norm = {clip_grad_norm}: the "
            "norm over all gradients is not known before the backward pass is through; leave one of the two out"
        )
    try:
        optimizer.require_steps_apart()
    except ArgumentError as error:
        raise ArgumentError(f"optimizer_in_backward: {error}; leave optimizer_in_backward out") from None
    return step_in_backward
