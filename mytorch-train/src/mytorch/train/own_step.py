"""A training step that a user wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Optimizer
from mytorch.train.batches import count_rows, misfit
from mytorch.train.exclusions import name_of
from mytorch.train.mean_loss import Weight
from mytorch.train.setup import TakeStep
from mytorch.train.step import step
from mytorch.train.step_in_backward import step_in_backward


def own_step(own: Callable[..., Any]) -> TakeStep:
    """A step that looks at what a user's own returns. Raises ArgumentError for what cannot be called as a step."""
    if not callable(own):
        raise ArgumentError(
            f"step: must be a function of (net, loss, optimizer, inputs, targets), got {type(own).__name__}"
        )
    if problem := misfit(own, None, None, None, None, None):
        raise ArgumentError(
            f"step: must be a function of (net, loss, optimizer, inputs, targets), got {name_of(own)}, to which these "
            f"cannot be passed: {problem}"
        )
    return own if own is step or own is step_in_backward else OwnStep(own)


@dataclass(frozen=True)
class OwnStep:
    """A user's step; what it returns is looked at, and without a weight the rows count."""

    taken: Callable[..., Any]

    @property
    def __name__(self) -> str:
        return name_of(self.taken)

    def __call__(
        self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
    ) -> tuple[Tensor, Weight]:
        """Take the step. Raises ArgumentError unless it returns a loss, or a loss and a weight."""
        result = self.taken(net, loss, optimizer, inputs, targets)
        value, weight = result if isinstance(result, tuple) and len(result) == 2 else (result, count_rows(targets))
        if not (_is_number(value) and _is_number(weight)):
            raise ArgumentError(
                f"step: {name_of(self.taken)} must return the loss, one number, or a pair of the loss and its weight, "
                f"got {_told(result)}"
            )
        return torch.as_tensor(value), weight


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.dim() == 0
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _told(result: Any) -> str:
    if isinstance(result, tuple):
        return f"({', '.join(map(_told, result))})"
    return f"a tensor of {tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
