"""A learning rate that falls when a measured value stops improving."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor

from mytorch.core import ArgumentError, Optimizer, RecursiveSchedule, require_choice
from mytorch.core.checks import is_number
from mytorch.core.schedule import assign, number
from mytorch.optim.checks import one_a_group, require_count, require_setting
from mytorch.plugins import shown


class ReduceLROnPlateau(RecursiveSchedule):
    """Multiply the learning rate by factor once a metric has not improved for more than patience steps.

    Step:      the metric m improves if m < best * (1 - threshold)   ("min", "rel"); best - threshold for "abs"
                                        m > best * (1 + threshold)   ("max", "rel"); best + threshold for "abs"
               after more than patience steps without improvement: lr = max(lr * factor, min_lr), unless that changes
               it by no more than eps; then cooldown steps in which none is counted. A metric that is NaN improves
               nothing.
    Metric:    training hands over the history's number of the name `monitor` at the end of an epoch in which it is
               measured; by hand, schedule.step(value)
    Groups:    min_lr may be a list with one number a group
    Raises:    ArgumentError for an argument outside its range, and for a step without a metric
    Source:    He et al. 2015, "Deep residual learning for image recognition", section 3.4; the rule for a plateau is
               that of torch.optim.lr_scheduler.ReduceLROnPlateau

    Example:
        schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=3)
        schedule.step(0.25)
    """

    torch_adds: ClassVar = frozenset({"best", "cooldown_counter", "default_min_lr", "mode_worse", "num_bad_epochs"})

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
        monitor: str = "validation_loss",
    ) -> None:
        require_choice(self, "mode", mode, ("min", "max"))
        require_choice(self, "threshold_mode", threshold_mode, ("rel", "abs"))
        require_setting(self, "factor", factor, 0.0)
        if factor >= 1:
            raise ArgumentError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        require_count(self, "patience", patience, low=0)
        require_count(self, "cooldown", cooldown, low=0)
        require_setting(self, "threshold", threshold)
        require_setting(self, "eps", eps, 0.0)
        if not isinstance(monitor, str) or not monitor:
            raise ArgumentError(f"ReduceLROnPlateau: monitor must be a name in the history, got {shown(monitor)}")
        self.mode, self.factor, self.patience, self.cooldown = mode, factor, patience, cooldown
        self.threshold, self.threshold_mode, self.eps, self.monitor = threshold, threshold_mode, eps, monitor
        super().__init__(optimizer)
        self.min_lrs = one_a_group(self, "min_lr", min_lr, optimizer)
        for low in self.min_lrs:
            require_setting(self, "min_lr", low, 0.0)

    def _start(self) -> None:
        self.begin(chained=True)  # the learning rate stays as it is

    def begin(self, chained: bool = False) -> None:
        self.last_epoch = 0
        self.memory = {"best": None, "bad_steps": 0, "cooldown_left": 0}
        if not chained:
            self.reset_lr()

    def for_torch(self) -> dict[str, Any]:
        memory = self.memory
        best = {} if memory["best"] is None else {"best": memory["best"]}  # infinite there, which JSON cannot hold
        counts = {"num_bad_epochs": memory["bad_steps"], "cooldown_counter": memory["cooldown_left"]}
        return {**super().for_torch(), **counts, **best}

    def from_torch(self, state: Mapping[str, Any]) -> dict[str, Any]:
        best = state["best"] if math.isfinite(state["best"]) else None
        counts = {"bad_steps": state["num_bad_epochs"], "cooldown_left": state["cooldown_counter"]}
        return {**super().from_torch(state), "memory": {"best": best, **counts}}

    def torch_differences(self, state: Mapping[str, Any]) -> Iterator[str]:
        yield from super().torch_differences(state)
        if missing := {"best", "num_bad_epochs", "cooldown_counter"} - state.keys():
            yield f"it must be of ReduceLROnPlateau, got one without {', '.join(sorted(missing))}"
            return
        if not isinstance(state["best"], (int, float)):
            yield f"best must be a number, got {shown(state['best'])}"
        for name in ("num_bad_epochs", "cooldown_counter"):
            if not _is_count(state[name]):
                yield f"{name} must be an integer of at least 0, got {shown(state[name])}"

    def differences(self, state: Any) -> Iterator[str]:
        yield from super().differences(state)
        memory = state.get("memory") if isinstance(state, Mapping) else None
        if not isinstance(memory, Mapping) or memory.keys() != self.memory.keys():
            return  # which is told, or the state is PyTorch's
        if memory["best"] is not None and not isinstance(memory["best"], (int, float)):
            yield f"best of memory must be a number or None, got {shown(memory['best'])}"
        for name in ("bad_steps", "cooldown_left"):
            if not _is_count(memory[name]):
                yield f"{name} of memory must be an integer of at least 0, got {shown(memory[name])}"

    def advance(self, metric: float | Tensor | None, chained: bool) -> None:  # noqa: ARG002 - both go on from now
        self.require_metric(metric)
        value, memory = float(metric), self.memory  # type: ignore[arg-type]
        if self._improves(value, memory["best"]):
            memory |= {"best": value, "bad_steps": 0}
        else:
            memory["bad_steps"] += 1
        if memory["cooldown_left"] > 0:
            memory |= {"cooldown_left": memory["cooldown_left"] - 1, "bad_steps": 0}
        if memory["bad_steps"] > self.patience:
            self._reduce()
            memory |= {"cooldown_left": self.cooldown, "bad_steps": 0}

    def require_metric(self, metric: float | Tensor | None) -> None:
        if metric is None:
            raise ArgumentError(
                f"ReduceLROnPlateau: step must be given the value of {self.monitor!r}, got none; call step(value), or "
                "let fit measure it: fit(validation=...), or ReduceLROnPlateau(monitor='train_loss')"
            )
        if not is_number(metric):
            raise ArgumentError(f"ReduceLROnPlateau: the metric must be one number, got {shown(metric)}")

    def _improves(self, value: float, best: float | None) -> bool:
        sign = 1 if self.mode == "max" else -1
        if best is None:
            best = -sign * math.inf
        bound = best * (1 + sign * self.threshold) if self.threshold_mode == "rel" else best + sign * self.threshold
        return value > bound if self.mode == "max" else value < bound

    def _reduce(self) -> None:
        for group, low in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lr = number(group["lr"])
            reduced = max(lr * self.factor, low)
            if lr - reduced > self.eps:
                assign(group, {"lr": reduced})


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
