"""The schedule of an experiment, which may hold others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from mytorch.core import Optimizer, Schedule
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.file.arguments import check_arguments, construct, load_functions
from mytorch.experiments.file.experiment import Experiment, Spec
from mytorch.experiments.file.parts import find, require_unset
from mytorch.plugins import shown
from mytorch.train.setup import Interval

HELD = "schedulers"
"""The argument that holds schedules, in torch's words."""


@dataclass(frozen=True)
class PlannedSchedule:
    """A schedule before it has an optimizer: its class is found, functions are loaded and lengths filled in."""

    key: str
    cls: type[Schedule]
    arguments: Mapping[str, Any]
    """All but the optimizer and the schedules that it holds."""
    interval: Interval | None
    """What it counts, if the experiment says so; otherwise the class does."""
    held: Sequence[PlannedSchedule] | None = field(default=None)

    @property
    def _given(self) -> tuple[str, ...]:
        return ("optimizer",) if self.held is None else ("optimizer", HELD)

    def check(self) -> None:
        """Check the arguments where there is no optimizer to build it with. Raises as building it."""
        for piece in self.held or ():
            piece.check()
        check_arguments(self.key, self.cls, self.arguments, *self._given)

    def build(self, optimizer: Optimizer) -> Schedule:
        """The schedule of this optimizer. Raises ExperimentError with the key."""
        arguments = {**self.arguments, "optimizer": optimizer}
        if self.held is not None:
            arguments[HELD] = [piece.build(optimizer) for piece in self.held]
        schedule: Schedule = construct(self.key, self.cls, arguments, *self._given)
        if self.interval is not None:
            schedule.interval = self.interval
        return schedule


def plan_schedule(experiment: Experiment, batches: int) -> PlannedSchedule | None:
    """The schedule of an experiment, if there is one.

    batches: how many there are in an epoch. Raises UnknownNameError, and ExperimentError with the key.
    """
    spec = experiment.schedule
    return None if spec is None else _plan("schedule", spec, _Length(experiment.epochs, batches))


@dataclass(frozen=True)
class _Length:
    """How long a schedule runs, from one of its steps to another or to the end of the run."""

    epochs: int
    batches: int
    """In an epoch."""
    start: int = 0
    end: int | None = None

    def steps(self, interval: Interval) -> int:
        end = self.epochs * (self.batches if interval == "batch" else 1) if self.end is None else self.end
        return max(end - self.start, 1)

    def pieces(self, milestones: Any, count: int) -> list[_Length]:
        """Those of `count` schedules that follow each other at the milestones, or all run at once."""
        marks = list(milestones) if isinstance(milestones, (list, tuple)) else []
        if len(marks) != count - 1 or not all(isinstance(mark, int) for mark in marks):
            return [self] * count
        starts = [self.start, *(self.start + mark for mark in marks)]
        ends = [*starts[1:], self.end]
        return [_Length(self.epochs, self.batches, a, b) for a, b in zip(starts, ends, strict=True)]


def _plan(key: str, spec: Spec, length: _Length, interval: Interval | None = None) -> PlannedSchedule:
    cls = find(key, "schedule", spec.type)
    require_unset(key, spec, "optimizer")
    arguments = load_functions(key, cls, spec.arguments)
    interval = _interval(key, arguments.pop("interval", interval))
    held = None
    if HELD in arguments:
        specs = _specs(f"{key}.{HELD}", arguments.pop(HELD))
        lengths = length.pieces(arguments.get("milestones"), len(specs))
        pairs = enumerate(zip(specs, lengths, strict=True))
        held = [_plan(f"{key}.{HELD}.{place}", one, part, interval) for place, (one, part) in pairs]
    elif cls.length_argument and cls.length_argument not in arguments:
        arguments[cls.length_argument] = length.steps(interval or cls.interval)
    return PlannedSchedule(key, cls, arguments, interval if held is None else None, held)


def _interval(key: str, value: Any) -> Interval | None:
    if value not in (None, "batch", "epoch"):
        raise ExperimentError(f"{key}.interval: must be 'batch' or 'epoch', got {shown(value)}")
    found: Interval | None = value
    return found


def _specs(key: str, entries: Any) -> list[Spec]:
    """Schedules by name, or as tables with a type."""
    if not isinstance(entries, list):
        raise ExperimentError(f"{key}: must be a list of schedules, got {shown(entries)}")
    found = []
    for place, entry in enumerate(entries):
        try:
            found.append(Spec(type=entry) if isinstance(entry, str) else Spec.model_validate(entry))
        except ValidationError:
            raise ExperimentError(f"{key}.{place}: must be a table with a type, got {shown(entry)}") from None
    return found
