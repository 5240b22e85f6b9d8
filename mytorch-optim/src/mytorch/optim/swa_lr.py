"""The learning rate of stochastic weight averaging."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor

from mytorch.core import Optimizer, RecursiveSchedule, require_choice
from mytorch.core.schedule import number
from mytorch.optim.checks import one_a_group, require_count, require_setting


class SWALR(RecursiveSchedule):
    """Move the learning rate from where it is to swa_lr in anneal_epochs steps, and leave it there.

    Formula:  lr(t) = swa_lr * a(t) + lr(start) * (1 - a(t)),  s = min(t / anneal_epochs, 1)
              a = (1 - cos(pi * s)) / 2 for "cos", s for "linear"
              lr(start) is the learning rate that it finds, which other schedules may have made: it goes on from
              theirs, step by step. Without anneal_epochs it is swa_lr at once
    Groups:   swa_lr may be a list with one number a group
    Resumed:  by load_state_dict; torch's last_epoch is left out
    Raises:   ArgumentError for an argument outside its range
    Source:   Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization"

    Example:
        decay, constant = ExponentialLR(optimizer, 0.9), SWALR(optimizer, swa_lr=0.05, anneal_epochs=5)
        schedule = SequentialLR(optimizer, [decay, constant], milestones=[15])
    """

    torch_lacks: ClassVar = frozenset({"anneal_strategy"})
    conformance: ClassVar = {"arguments": {"swa_lr": 0.05, "anneal_epochs": 6}}

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
    ) -> None:
        require_count(self, "anneal_epochs", anneal_epochs, low=0)
        require_choice(self, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        if isinstance(optimizer, Optimizer):
            for group, lr in zip(optimizer.param_groups, one_a_group(self, "swa_lr", swa_lr, optimizer), strict=True):
                require_setting(self, "swa_lr", lr, 0.0)
                group["swa_lr"] = lr
        super().__init__(optimizer)

    def begin(self, chained: bool = False) -> None:
        self.last_epoch = 0
        self.advance(None, chained)

    def advance(self, metric: float | Tensor | None, chained: bool) -> None:  # noqa: ARG002 - both go on from now
        before, now = self._share(self.last_epoch - 1), self._share(self.last_epoch)
        settings = []
        for group in self.optimizer.param_groups:
            lr, end = number(group["lr"]), number(group["swa_lr"])
            start = end if before == 1 else (lr - before * end) / (1 - before)
            settings.append({"lr": end * now + start * (1 - now)})
        self.apply(settings)

    def torch_differences(self, state: Mapping[str, Any]) -> Iterator[str]:
        yield from super().torch_differences(state)
        strategy = state.get("_anneal_strategy", self.anneal_strategy)
        if strategy != self.anneal_strategy:
            yield f"anneal_strategy must be {self.anneal_strategy!r}, got {strategy!r}"

    def _share(self, step: int) -> float:
        """How much of swa_lr is in the learning rate at a step."""
        s = max(0.0, min(1.0, step / self.anneal_epochs)) if self.anneal_epochs else float(step >= 0)
        return s if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * s)) / 2
