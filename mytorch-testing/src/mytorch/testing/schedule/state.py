"""Whether a schedule's state can be kept, and whether it takes no other's."""

from __future__ import annotations

import copy
import json

from mytorch.core import ArgumentError, StateError
from mytorch.testing.errors import CheckError
from mytorch.testing.schedule.case import ScheduleCase, build
from mytorch.testing.schedule.formula import course


def state_plain(case: ScheduleCase) -> None:
    """The state can be stored as JSON and is the same when it is read again."""
    schedule = build(case)
    course(schedule, case.steps // 2)
    state = schedule.state_dict()
    try:
        again = json.loads(json.dumps(state, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CheckError(f"state_dict must hold what JSON can hold, got {error}") from None
    if again != state:
        raise CheckError(f"state_dict must be the same after JSON, got {again} for {state}")


def state_foreign(case: ScheduleCase) -> None:
    """The state of another kind of schedule, or an empty one, raises a StateError and changes nothing."""
    schedule = build(case)
    course(schedule, case.steps // 2)
    before, lrs = copy.deepcopy(schedule.state_dict()), schedule.get_last_lr()
    for what, state in (("of another kind", {**before, "type": "Another"}), ("that is empty", {})):
        try:
            schedule.load_state_dict(state)
        except StateError:
            pass
        else:
            raise CheckError(f"a state {what} must raise a StateError, got none")
    if schedule.state_dict() != before or schedule.get_last_lr() != lrs:
        raise CheckError("a state that is refused must change nothing, but it did")


def metric_unwanted(case: ScheduleCase) -> None:
    """A schedule without a monitor refuses a metric with an ArgumentError; one with a monitor takes a number."""
    schedule = build(case)
    if schedule.monitor is not None:
        schedule.step(0.5)
        return
    try:
        schedule.step(0.5)
    except ArgumentError:
        return
    raise CheckError("step must refuse a metric where monitor is None, got no error")
