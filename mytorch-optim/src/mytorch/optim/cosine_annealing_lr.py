"""A learning rate that falls along a cosine."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from mytorch.core import Optimizer, Schedule
from mytorch.optim.checks import require_count, require_setting


class CosineAnnealingLR(Schedule):
    """Lower the learning rate to eta_min along half a cosine; after T_max steps it rises again.

    Formula:  lr(t) = eta_min + (lr(0) - eta_min) * (1 + cos(pi * t / T_max)) / 2
    Raises:   ArgumentError if T_max is not a count or eta_min is negative
    Source:   Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", eq. 5

    Example:
        schedule = CosineAnnealingLR(optimizer, T_max=50)
    """

    length_argument: ClassVar[str | None] = "T_max"

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        require_count(self, "T_max", T_max)
        require_setting(self, "eta_min", eta_min, 0.0)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, float]:
        height = (1 + math.cos(math.pi * step / self.T_max)) / 2
        return {"lr": self.eta_min + (initial["lr"] - self.eta_min) * height}
