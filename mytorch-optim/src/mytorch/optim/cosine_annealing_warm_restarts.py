"""A learning rate that falls along cosines, each of which begins anew."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from mytorch.core import Optimizer, Schedule
from mytorch.optim.checks import require_count, require_setting


class CosineAnnealingWarmRestarts(Schedule):
    """Lower the learning rate along half a cosine of T_0 steps, start again, and let each be T_mult times as long.

    Formula:  lr(t) = eta_min + (lr(0) - eta_min) * (1 + cos(pi * T_cur / T_i)) / 2
              where T_cur is the number of steps since the last restart, at 0, T_0, T_0 + T_0 * T_mult, ..., and T_i
              that from it to the next
    Raises:   ArgumentError if T_0 or T_mult is no count, or eta_min is negative
    Source:   Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", eq. 5

    Example:
        schedule = CosineAnnealingWarmRestarts(optimizer, T_0=10, T_mult=2)
    """

    follows_others: ClassVar[bool] = False
    torch_adds: ClassVar = frozenset({"T_cur", "T_i"})
    conformance: ClassVar = {"arguments": {"T_0": 6}}

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        require_count(self, "T_0", T_0)
        require_count(self, "T_mult", T_mult)
        require_setting(self, "eta_min", eta_min, 0.0)
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, float]:
        T_cur, T_i = self._place(step)
        height = (1 + math.cos(math.pi * T_cur / T_i)) / 2
        return {"lr": self.eta_min + (initial["lr"] - self.eta_min) * height}

    def _place(self, step: int) -> tuple[int, int]:
        """Steps since the last restart, and how many there are to the next."""
        if self.T_mult == 1:
            return step % self.T_0, self.T_0
        length = self.T_0
        while step >= length:
            step, length = step - length, length * self.T_mult
        return step, length

    def for_torch(self) -> dict[str, Any]:
        T_cur, T_i = self._place(self.last_epoch)
        return {**super().for_torch(), "T_cur": T_cur, "T_i": T_i}

    def torch_differences(self, state: Mapping[str, Any]) -> Iterator[str]:
        yield from super().torch_differences(state)
        steps = max(state.get("last_epoch", 0), 0)
        if (state.get("T_cur", 0), state.get("T_i", 0)) != self._place(steps):
            yield f"T_cur and T_i must be {self._place(steps)} at step {steps}, got a different place"
