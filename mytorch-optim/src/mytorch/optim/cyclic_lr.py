"""A learning rate that goes up and down again and again."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from mytorch.core import ArgumentError, Optimizer, Schedule, require_choice
from mytorch.core.schedule import assign
from mytorch.optim._momentum import momentum_setting, start_momentum
from mytorch.optim.checks import factor_at, one_a_group, require_count, require_flag, require_setting
from mytorch.plugins import shown


class CyclicLR(Schedule):
    """Move the learning rate from base_lr to max_lr and back, in cycles that may grow lower, and momentum against it.

    Formula:  with T = step_size_up + step_size_down, r = step_size_up / T, c = floor(1 + t / T), x = 1 + t / T - c
              h(t) = x / r for x <= r, (x - 1) / (r - 1) after it: 0 to 1 and back
              lr(t) = base_lr + (max_lr - base_lr) * h(t) * scale
              momentum(t) = max_momentum - (max_momentum - base_momentum) * h(t) * scale
              scale: 1 for "triangular", 1 / 2^(c - 1) for "triangular2", gamma^t for "exp_range"; or scale_fn(c), and
              scale_fn(t) where scale_mode is "iterations", which takes the place of mode
    Settings: step_size_down None is step_size_up. Momentum is the optimizer's momentum, or beta1 of its betas; one
              step a batch
    Groups:   base_lr, max_lr, base_momentum and max_momentum may be lists with one number a group
    File:     an experiment names an installed function: scale_fn = "package.module:name"
    Raises:   ArgumentError for an argument outside its range, and, unless cycle_momentum is False, for an optimizer
              that has neither momentum nor betas
    Source:   Smith 2017, "Cyclical learning rates for training neural networks"

    Example:
        schedule = CyclicLR(optimizer, base_lr=0.01, max_lr=0.1, step_size_up=100)
    """

    interval: Literal["batch", "epoch"] = "batch"
    follows_others: ClassVar[bool] = False
    torch_lacks: ClassVar = frozenset({"bases", "scale_fn"})
    torch_adds: ClassVar = frozenset({"base_momentums", "max_momentums"})
    conformance: ClassVar = {"arguments": {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 4}}

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        require_count(self, "step_size_up", step_size_up)
        step_size_down = step_size_up if step_size_down is None else step_size_down
        require_count(self, "step_size_down", step_size_down)
        require_choice(self, "mode", mode, ("triangular", "triangular2", "exp_range"))
        require_choice(self, "scale_mode", scale_mode, ("cycle", "iterations"))
        require_setting(self, "gamma", gamma, 0.0)
        require_flag(self, "cycle_momentum", cycle_momentum)
        if scale_fn is not None and not callable(scale_fn):
            raise ArgumentError(f"CyclicLR: scale_fn must be a function, got {shown(scale_fn)}")
        self.total_size, self.step_ratio = (
            step_size_up + step_size_down,
            step_size_up / (step_size_up + step_size_down),
        )
        self.mode, self.gamma, self.scale_fn = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if isinstance(optimizer, Optimizer):
            self.bases, self.max_lrs = self._bounds(optimizer, base_lr, max_lr)
            if last_epoch == -1:
                for group, lr in zip(optimizer.param_groups, self.bases, strict=True):
                    assign(group, {"lr": lr})
                if cycle_momentum:
                    start_momentum(self, optimizer, base_momentum, max_momentum)
        super().__init__(optimizer, last_epoch)

    def _bounds(
        self, optimizer: Optimizer, base_lr: float | Sequence[float], max_lr: float | Sequence[float]
    ) -> tuple[list[float], list[float]]:
        bases = one_a_group(self, "base_lr", base_lr, optimizer)
        tops = one_a_group(self, "max_lr", max_lr, optimizer)
        for name, numbers in (("base_lr", bases), ("max_lr", tops)):
            for value in numbers:
                require_setting(self, name, value, 0.0)
        return bases, tops

    @property
    def base_lrs(self) -> list[float]:
        """The learning rate of each group at the foot of a cycle."""
        return self.bases

    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, Any]:
        cycle = math.floor(1 + step / self.total_size)
        x = 1.0 + step / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self._scale(cycle if self.scale_mode == "cycle" else step)
        base, top = self.bases[initial["group"]], self.max_lrs[initial["group"]]
        found: dict[str, Any] = {"lr": base + (top - base) * height}
        if self.cycle_momentum:
            low, high = initial["base_momentum"], initial["max_momentum"]
            found |= momentum_setting(initial, high - (high - low) * height)
        return found

    def _scale(self, at: int) -> float:
        if self.scale_fn is not None:
            return factor_at(self, "scale_fn", self.scale_fn, at)
        return 1.0 if self.mode == "triangular" else 0.5 ** (at - 1) if self.mode == "triangular2" else self.gamma**at

    def for_torch(self) -> dict[str, Any]:
        return {**super().for_torch(), "_scale_fn_custom": None}
