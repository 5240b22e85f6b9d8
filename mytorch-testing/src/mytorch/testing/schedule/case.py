"""A schedule under test, and what it drives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Optimizer, Parameter, Schedule
from mytorch.testing.errors import CheckError

LR, MOMENTUM = 0.1, 0.9


@dataclass(frozen=True)
class ScheduleCase:
    """What is checked: a way to build a schedule for a given optimizer, and for how many steps.

    reference: builds the same schedule for a torch.optim.SGD; None if there is none.
    """

    factory: Callable[[Optimizer], Schedule]
    steps: int
    reference: Callable[[Any], Any] | None = None


class Plain(Optimizer):
    """What the kit's schedules drive: lr and momentum, and no formula of its own."""

    def __init__(self, params: Any, lr: float | Tensor = LR, momentum: float = MOMENTUM) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})


def build(case: ScheduleCase, lrs: Sequence[float | Tensor] = (LR,)) -> Schedule:
    """The schedule of an optimizer with a group for each learning rate."""
    groups = [{"params": [Parameter(torch.ones(2, dtype=torch.float64))], "lr": lr} for lr in lrs]
    try:
        schedule = case.factory(Plain(groups))
    except KeyError as error:
        raise CheckError(
            f"settings must name settings of the optimizer, {', '.join(Plain(groups).defaults)}, got {error}"
        ) from None
    if not isinstance(schedule, Schedule):
        raise CheckError(f"factory must return a mytorch.core.Schedule, got {type(schedule).__name__}")
    return schedule
