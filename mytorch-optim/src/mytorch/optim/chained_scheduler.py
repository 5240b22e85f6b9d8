"""Several schedules at once."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core import ArgumentError, Optimizer, Schedule
from mytorch.optim.nested_schedule import NestedSchedule, two_schedules
from mytorch.plugins import shown


class ChainedScheduler(NestedSchedule):
    """Let several schedules act on the learning rate at every step, each on what those before it have made of it.

    Formula:  a schedule that multiplies the learning rate by factors multiplies what it finds by the factor of its
              step; the others as `Schedule.chained_lr` says. OneCycleLR knows its learning rate by itself: what comes
              before it in the list has no effect.
    Metric:   handed on to those that follow one
    Raises:   ArgumentError for schedules of another optimizer, or that do not all count batches, or epochs
    Source:   torch.optim.lr_scheduler.ChainedScheduler, whose behaviour it follows

    Example:
        schedule = ChainedScheduler([ConstantLR(optimizer, 0.1, total_iters=5), ExponentialLR(optimizer, 0.9)])
    """

    conformance: ClassVar = {"arguments": {"schedulers": two_schedules}}

    def __init__(self, schedulers: Sequence[Schedule], optimizer: Optimizer | None = None) -> None:
        if optimizer is None:
            first = schedulers[0] if isinstance(schedulers, (list, tuple)) and schedulers else None
            if not isinstance(first, Schedule):
                raise ArgumentError(
                    f"ChainedScheduler: schedulers must be a list of schedules, got {shown(schedulers)}"
                )
            optimizer = first.optimizer
        super().__init__(optimizer, schedulers)

    def begin(self, chained: bool = False) -> None:
        self.last_epoch = 0
        if not chained:
            self.reset_lr()
        for schedule in self.schedulers:
            schedule.begin(chained=True)

    def torch_differences(self, state: Mapping[str, Any]) -> Iterator[str]:
        yield from super().torch_differences(state)
        if "_milestones" in state:
            yield "it must be of ChainedScheduler, got one with _milestones"

    def require_step(self, number: int) -> None:
        for schedule in self.schedulers:
            schedule.require_step(number)

    def require_metric(self, metric: float | Tensor | None) -> None:
        super().require_metric(metric)
        for schedule in self.schedulers:
            schedule.require_metric(metric if schedule.monitor is not None else None)

    def advance(self, metric: float | Tensor | None, chained: bool) -> None:  # noqa: ARG002 - all go on from now
        for schedule in self.schedulers:
            schedule.chain(metric if schedule.monitor is not None else None)
