"""A learning rate that is smaller at first."""

from collections.abc import Mapping
from typing import Any

from mytorch.core import Optimizer, Schedule
from mytorch.optim.checks import require_count, require_setting


class ConstantLR(Schedule):
    """Multiply the learning rate by factor for the first total_iters steps.

    Formula:  lr(t) = lr(0) * factor for t < total_iters, lr(0) from there on
    Raises:   ArgumentError if factor is not between 0 and 1 or total_iters is no count
    Source:   Goyal et al. 2017, "Accurate, large minibatch SGD: training ImageNet in 1 hour", section 2.2, as constant
              warmup

    Example:
        schedule = ConstantLR(optimizer, factor=0.1, total_iters=5)
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        require_setting(self, "factor", factor, 0.0, 1.0)
        require_count(self, "total_iters", total_iters)
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, float]:
        return {"lr": initial["lr"] * (self.factor if step < self.total_iters else 1.0)}
