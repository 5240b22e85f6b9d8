"""Whether a schedule is a closed formula of the step that sets what it should and nothing else."""

from __future__ import annotations

import copy
import inspect
import math

import torch

from mytorch.core import RecursiveSchedule, Schedule
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.schedule.case import LR, MOMENTUM, ScheduleCase, build

TOLERANCE = 1e-12  # relative, between two ways of computing one formula in Python's floats
Course = list[list[dict[str, float]]]
"""The settings of each group at each step."""


def course(schedule: Schedule, steps: int) -> Course:
    """The settings of every group now and after each of the next steps."""
    seen = [_settings(schedule)]
    for _ in range(steps):
        take_step(schedule)
        seen.append(_settings(schedule))
    return seen


def take_step(schedule: Schedule) -> None:
    """A step; one that follows a metric is given a number that depends on the step alone and falls only at first."""
    if schedule.monitor is None:
        schedule.step()
    else:
        schedule.step(metric_at(schedule.last_epoch + 1))


def metric_at(step: int) -> float:
    """What a schedule that follows a metric is given at this step."""
    return 1 / min(step, 4) + 0.01 * (step % 3)


def _settings(schedule: Schedule) -> list[dict[str, float]]:
    return [{name: float(group[name]) for name in ("lr", "momentum")} for group in schedule.optimizer.param_groups]


def _require_same(actual: Course, expected: Course, rule: str, first: int = 0) -> None:
    for step, (ours, theirs) in enumerate(zip(actual, expected, strict=True), first):
        for group, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            for name, wanted in other.items():
                if not math.isclose(mine[name], wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
                    raise CheckError(
                        f"{name} of group {group} at step {step} must {rule}, got {mine[name]:.12g} "
                        f"instead of {wanted:.12g}"
                    )


def reference(case: ScheduleCase) -> None:
    """At each step, the settings equal those of the reference."""
    assert case.reference is not None, "a kit without a reference leaves this check out"
    parameter = torch.ones(2, dtype=torch.float64).requires_grad_()
    optimizer = torch.optim.SGD([parameter], lr=LR, momentum=MOMENTUM)  # noqa: TID251
    theirs, followed = case.reference(optimizer), build(case).monitor is not None
    expected: Course = []
    for step in range(case.steps + 1):
        if step:
            optimizer.step()  # torch warns where a schedule steps first
            theirs.step(*([metric_at(step)] if followed else []))
        expected.append([{name: float(optimizer.param_groups[0][name]) for name in ("lr", "momentum")}])
    _require_same(course(build(case), case.steps), expected, "equal the reference's")


def at_construction(case: ScheduleCase) -> None:
    """The settings of step 0 apply as soon as the schedule is built."""
    schedule = _closed(case)
    for name, value in schedule.settings(0, schedule.initial[0]).items():
        actual = float(schedule.optimizer.param_groups[0][name])
        if schedule.last_epoch != 0 or not math.isclose(actual, value, rel_tol=TOLERANCE):
            raise CheckError(f"{name} must be that of step 0 after construction, {value:.12g}, got {actual:.12g}")


def closed_formula(case: ScheduleCase) -> None:
    """settings(step, initial) depends on its arguments only: in reverse order it gives what the steps gave."""
    schedule = _closed(case)
    seen = course(schedule, case.steps)
    initial = copy.deepcopy(schedule.initial)
    for step in reversed(range(case.steps + 1)):
        for group, start in enumerate(schedule.initial):
            given = [[{**seen[step][group], **schedule.settings(step, start)}]]
            _require_same(given, [[seen[step][group]]], "be a function of the step alone", step)
    if initial != schedule.initial:
        raise CheckError("settings must leave `initial` as it is, but it did not")


def _closed(case: ScheduleCase) -> Schedule:
    schedule = build(case)
    if isinstance(schedule, RecursiveSchedule):
        raise Skip("it is a RecursiveSchedule, whose settings are no formula of the step")
    return schedule


def groups_apart(case: ScheduleCase) -> None:
    """The learning rate of each group starts from its own value and changes as it would alone."""
    lrs = (LR, LR / 4)
    alone = [course(build(case, (lr,)), case.steps) for lr in lrs]
    expected = [[step[0] for step in steps] for steps in zip(*alone, strict=True)]
    _require_same(course(build(case, lrs), case.steps), expected, "be what the group gets alone")


def state_round_trip(case: ScheduleCase) -> None:
    """A new schedule that loads the state continues like the original."""
    first, half = build(case), case.steps // 2
    course(first, half)
    second = build(case)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    rest = case.steps - half
    _require_same(course(second, rest), course(first, rest), "be the same from loaded state as without a stop", half)


def tensor_in_place(case: ScheduleCase) -> None:
    """A learning rate that is a tensor is changed in place, to the same values."""
    lr = torch.tensor(LR, dtype=torch.float64)
    schedule = build(case, (lr,))
    seen = course(schedule, case.steps)
    if schedule.optimizer.param_groups[0]["lr"] is not lr:
        raise CheckError("an lr that is a tensor must be changed in place, got another object in the group")
    _require_same(seen, course(build(case), case.steps), "be the same where lr is a tensor")


def sensible(case: ScheduleCase) -> None:
    """Every learning rate is finite and not negative."""
    for step, (settings,) in enumerate(course(build(case), case.steps)):
        if not (math.isfinite(settings["lr"]) and settings["lr"] >= 0):
            raise CheckError(f"lr at step {step} must be finite and not negative, got {settings['lr']}")


def last_lr(case: ScheduleCase) -> None:
    """get_last_lr returns the learning rate of each group."""
    schedule = build(case, (LR, LR / 4))
    for _ in range(case.steps):
        expected = [float(group["lr"]) for group in schedule.optimizer.param_groups]
        if schedule.get_last_lr() != expected:
            raise CheckError(f"get_last_lr must be {expected}, got {schedule.get_last_lr()}")
        take_step(schedule)


def declared(case: ScheduleCase) -> None:
    """`interval` says when to step, and `length_argument` names an argument of the constructor."""
    schedule = build(case)
    if schedule.interval not in ("batch", "epoch"):
        raise CheckError(f"interval must be 'batch' or 'epoch', got {schedule.interval!r}")
    arguments = list(inspect.signature(type(schedule)).parameters)
    if schedule.length_argument is not None and schedule.length_argument not in arguments:
        known = ", ".join(arguments)
        raise CheckError(f"length_argument must be one of {known}, got {schedule.length_argument!r}")


def nothing_else(case: ScheduleCase) -> None:
    """Values, gradients and other settings are not changed."""
    schedule = build(case)
    (group,) = schedule.optimizer.param_groups
    (parameter,) = group["params"]
    parameter.grad = torch.ones(2, dtype=torch.float64)
    group["weight_decay"] = 0.25
    course(schedule, case.steps)
    untouched = bool((parameter.value == 1).all() and (parameter.grad == 1).all())
    if not untouched or group["weight_decay"] != 0.25:
        raise CheckError("a schedule must change nothing but what settings names, but it did")
