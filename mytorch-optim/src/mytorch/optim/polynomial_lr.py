"""A learning rate that falls to 0 along a power of the steps that are left."""

from collections.abc import Mapping
from typing import Any, ClassVar

from mytorch.core import Optimizer, Schedule
from mytorch.optim.checks import require_count, require_setting


class PolynomialLR(Schedule):
    """Lower the learning rate to 0 in total_iters steps, in a straight line or along another power.

    Formula:  lr(t) = lr(0) * (1 - min(t, total_iters) / total_iters)^power
    Length:   total_iters; an experiment that leaves it out takes the length of the run
    Raises:   ArgumentError if total_iters is no count, or power is negative or not finite
    Source:   Chen et al. 2016, "DeepLab: semantic image segmentation with deep convolutional nets, atrous convolution,
              and fully connected CRFs"

    Example:
        schedule = PolynomialLR(optimizer, total_iters=50, power=2.0)
    """

    length_argument: ClassVar[str | None] = "total_iters"

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        require_count(self, "total_iters", total_iters)
        require_setting(self, "power", power, 0.0)
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, float]:
        left = 1 - min(step, self.total_iters) / self.total_iters
        return {"lr": initial["lr"] * left**self.power}
