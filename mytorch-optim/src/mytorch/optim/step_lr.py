"""A learning rate that falls in steps."""

from collections.abc import Mapping
from typing import Any

from mytorch.core import Optimizer, Schedule
from mytorch.optim.checks import require_count, require_setting


class StepLR(Schedule):
    """Multiply the learning rate by gamma after every step_size steps.

    Formula:  lr(t) = lr(0) * gamma ** floor(t / step_size)
    Raises:   ArgumentError if step_size is not a count or gamma is negative or not finite
    Source:   torch.optim.lr_scheduler.StepLR, whose definition it follows

    Example:
        schedule = StepLR(optimizer, step_size=10, gamma=0.5)
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        require_count(self, "step_size", step_size)
        require_setting(self, "gamma", gamma, 0.0)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, float]:
        return {"lr": initial["lr"] * self.gamma ** (step // self.step_size)}
