"""What the schedules that hold others have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mytorch.core import ArgumentError, Optimizer, RecursiveSchedule, Schedule
from mytorch.optim.constant_lr import ConstantLR
from mytorch.optim.exponential_lr import ExponentialLR
from mytorch.plugins import shown


class NestedSchedule(RecursiveSchedule):
    """Drives an optimizer by other schedules of it; their state is part of its own.

    Raises ArgumentError for what is no schedule, for a schedule of another optimizer or one that is named twice, and
    for schedules that do not all count batches, or epochs, or that follow different metrics.
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[Schedule]) -> None:
        if not isinstance(schedulers, (list, tuple)) or not schedulers:
            raise ArgumentError(f"{self._name}: schedulers must be a list of at least one, got {shown(schedulers)}")
        for place, schedule in enumerate(schedulers):
            self._require_own(place, schedule, optimizer)
        if len(set(map(id, schedulers))) < len(schedulers):
            raise ArgumentError(f"{self._name}: schedulers must be different objects, got one twice; build another")
        self.schedulers = list(schedulers)
        self.interval = self._in_common("interval", [schedule.interval for schedule in schedulers])
        monitors = [schedule.monitor for schedule in schedulers if schedule.monitor is not None]
        self.monitor = self._in_common("monitor", monitors) if monitors else None
        super().__init__(optimizer)

    def _require_own(self, place: int, schedule: Schedule, optimizer: Optimizer) -> None:
        if not isinstance(schedule, Schedule):
            raise ArgumentError(f"{self._name}: schedulers must hold schedules, got {shown(schedule)} at {place}")
        if schedule.optimizer is not optimizer:
            kind = type(schedule).__name__
            raise ArgumentError(
                f"{self._name}: schedulers must all be of its optimizer, got a {kind} of another "
                f"{type(schedule.optimizer).__name__} at {place}; build it with {kind}(optimizer, ...)"
            )

    def _in_common(self, what: str, values: list[Any]) -> Any:
        if len(set(values)) > 1:
            raise ArgumentError(
                f"{self._name}: schedulers must have one {what}, got {' and '.join(map(repr, values))}"
            )
        return values[0]

    @property
    def driven(self) -> frozenset[str]:
        """The names of the settings that one of them changes."""
        return frozenset[str]().union(*(schedule.driven for schedule in self.schedulers))

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, and where each of its schedules does."""
        return {**super().state_dict(), "_schedulers": [schedule.state_dict() for schedule in self.schedulers]}

    def from_torch(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """A state of PyTorch's schedule of the same name, in the form of `state_dict`."""
        pairs = zip(self.schedulers, state["_schedulers"], strict=True)
        held = [schedule.from_torch(own) for schedule, own in pairs]
        own = super().from_torch({"last_epoch": held[0]["last_epoch"], **state})  # a chain has no count of its own
        return {**own, "_schedulers": held}

    def differences(self, state: Any) -> Iterator[str]:
        """What is wrong with a state, one text each."""
        yield from super().differences(state)
        held = state.get("_schedulers") if isinstance(state, Mapping) else None
        if not isinstance(held, (list, tuple)):
            yield f"_schedulers must be a list of states, got {shown(held)}"
            return
        if len(held) != len(self.schedulers):
            yield f"_schedulers must be {len(self.schedulers)}, got {len(held)}"
            return
        for place, (schedule, own) in enumerate(zip(self.schedulers, held, strict=True)):
            yield from (f"_schedulers.{place}: {difference}" for difference in schedule.differences(own))

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a state without differences."""
        for schedule, own in zip(self.schedulers, state["_schedulers"], strict=True):
            schedule.restore(own)
        super().restore(state)


def two_schedules(optimizer: Optimizer) -> list[Schedule]:
    """What `mytorch check` gives to the schedules that hold others."""
    return [ConstantLR(optimizer, 0.5, total_iters=4), ExponentialLR(optimizer, 0.9)]
