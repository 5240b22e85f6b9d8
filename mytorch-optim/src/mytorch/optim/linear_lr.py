"""A learning rate that rises, or falls, in a straight line."""

from collections.abc import Mapping
from typing import Any

from mytorch.core import ArgumentError, Optimizer, Schedule
from mytorch.optim.checks import require_count, require_setting


class LinearLR(Schedule):
    """Move the factor of the learning rate from start_factor to end_factor in total_iters steps, as in a warm-up.

    Formula:  lr(t) = lr(0) * (start_factor + (end_factor - start_factor) * min(t, total_iters) / total_iters)
    Raises:   ArgumentError if start_factor is not above 0 and at most 1, end_factor not between 0 and 1, or
              total_iters is no count
    Source:   Goyal et al. 2017, "Accurate, large minibatch SGD: training ImageNet in 1 hour", section 2.2, as gradual
              warmup

    Example:
        schedule = LinearLR(optimizer, start_factor=0.1, total_iters=5)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        require_setting(self, "start_factor", start_factor, 0.0, 1.0)
        require_setting(self, "end_factor", end_factor, 0.0, 1.0)
        require_count(self, "total_iters", total_iters)
        if start_factor == 0:
            raise ArgumentError("LinearLR: start_factor must be above 0, got 0; no factor raises a learning rate of 0")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, float]:
        passed = min(step, self.total_iters) / self.total_iters
        return {"lr": initial["lr"] * (self.start_factor + (self.end_factor - self.start_factor) * passed)}
