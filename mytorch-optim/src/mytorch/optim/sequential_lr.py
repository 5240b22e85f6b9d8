"""One schedule after the other."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core import ArgumentError, Optimizer, Schedule
from mytorch.optim.checks import require_counts
from mytorch.optim.nested_schedule import NestedSchedule, two_schedules


class SequentialLR(NestedSchedule):
    """Follow the first of several schedules until the first milestone, then the next, such as a warm-up and a decay.

    Formula:  at step t, with m the last milestone that is at most t (0 before the first): the schedule of that piece
              at its own step t - m, from the initial learning rate
    Metric:   handed on to the schedule of the piece if it follows one
    Resumed:  by load_state_dict; torch's last_epoch, which begins the first schedule anew, is left out
    Raises:   ArgumentError unless there is one milestone fewer than schedules, all counts and rising; for schedules of
              another optimizer, or that do not all count batches, or epochs
    Source:   torch.optim.lr_scheduler.SequentialLR, whose behaviour it follows

    Example:
        warm_up = LinearLR(optimizer, start_factor=0.1, total_iters=5)
        schedule = SequentialLR(optimizer, [warm_up, CosineAnnealingLR(optimizer, 20)], milestones=[5])
    """

    torch_lacks: ClassVar = frozenset({"milestones"})  # which it keeps as _milestones
    conformance: ClassVar = {"arguments": {"schedulers": two_schedules, "milestones": [5]}}

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]) -> None:
        self.milestones = require_counts(self, "milestones", milestones)
        if self.milestones != sorted(set(self.milestones)):
            raise ArgumentError(f"SequentialLR: milestones must increase, got {self.milestones}")
        if isinstance(schedulers, (list, tuple)) and len(schedulers) != len(self.milestones) + 1:
            raise ArgumentError(
                f"SequentialLR: milestones must be one fewer than the {len(schedulers)} schedulers, got "
                f"{len(self.milestones)}"
            )
        super().__init__(optimizer, schedulers)

    def begin(self, chained: bool = False) -> None:
        self.last_epoch = 0
        if not chained:
            self.reset_lr()
        self.schedulers[0].begin(chained=True)

    def torch_differences(self, state: Mapping[str, Any]) -> Iterator[str]:
        yield from super().torch_differences(state)
        if list(state.get("_milestones", ())) != self.milestones:
            yield f"_milestones must be {self.milestones}, got {state.get('_milestones')}"

    def require_step(self, number: int) -> None:
        starts = [0, *self.milestones]
        lasts = [start - 1 for start in self.milestones]
        for schedule, start, last in zip(self.schedulers, starts, [*lasts, number], strict=True):
            if number >= start:
                schedule.require_step(min(last, number) - start)

    def require_metric(self, metric: float | Tensor | None) -> None:
        super().require_metric(metric)
        schedule = self.schedulers[bisect_right(self.milestones, self.last_epoch + 1)]
        if schedule.monitor is not None and self.last_epoch + 1 not in self.milestones:
            schedule.require_metric(metric)

    def advance(self, metric: float | Tensor | None, chained: bool) -> None:
        piece = bisect_right(self.milestones, self.last_epoch)
        schedule = self.schedulers[piece]
        if piece and self.milestones[piece - 1] == self.last_epoch:
            schedule.begin()
        else:
            move = schedule.chain if chained else schedule.step
            move(metric if schedule.monitor is not None else None)
