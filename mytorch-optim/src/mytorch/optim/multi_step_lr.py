"""A learning rate that falls at given steps."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from mytorch.core import Optimizer, Schedule
from mytorch.optim.checks import require_counts, require_setting


class MultiStepLR(Schedule):
    """Multiply the learning rate by gamma at each of the milestones; one that is named twice counts twice.

    Formula:  lr(t) = lr(0) * gamma ** (how many milestones are at most t)
    Raises:   ArgumentError if a milestone is no integer of at least 0, or gamma is negative or not finite
    Source:   He et al. 2015, "Deep residual learning for image recognition", section 4.2

    Example:
        schedule = MultiStepLR(optimizer, milestones=[30, 80], gamma=0.1)
    """

    conformance: ClassVar = {"arguments": {"milestones": [3, 11]}}

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = sorted(require_counts(self, "milestones", milestones, low=0))
        require_setting(self, "gamma", gamma, 0.0)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, float]:
        return {"lr": initial["lr"] * self.gamma ** bisect_right(self.milestones, step)}
