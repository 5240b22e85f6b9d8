"""A learning rate that falls by the same factor at every step."""

from collections.abc import Mapping
from typing import Any

from mytorch.core import Optimizer, Schedule
from mytorch.optim.checks import require_setting


class ExponentialLR(Schedule):
    """Multiply the learning rate by gamma at every step.

    Formula:  lr(t) = lr(0) * gamma ** t
    Raises:   ArgumentError if gamma is negative or not finite
    Source:   Senior et al. 2013, "An empirical study of learning rates in deep neural networks for speech recognition"

    Example:
        schedule = ExponentialLR(optimizer, gamma=0.95)
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        require_setting(self, "gamma", gamma, 0.0)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, float]:
        return {"lr": initial["lr"] * self.gamma**step}
