"""The conformance kit for learning-rate schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from mytorch.core import ArgumentError, Optimizer, Schedule
from mytorch.testing.declaration import Declaration
from mytorch.testing.kit import Check, Kit, require_factory
from mytorch.testing.report import Report
from mytorch.testing.schedule import formula, state
from mytorch.testing.schedule.case import ScheduleCase, build

SCHEDULE_CHECKS: tuple[Check, ...] = (
    formula.reference,
    formula.at_construction,
    formula.closed_formula,
    formula.groups_apart,
    formula.state_round_trip,
    state.state_plain,
    state.state_foreign,
    state.metric_unwanted,
    formula.tensor_in_place,
    formula.sensible,
    formula.last_lr,
    formula.declared,
    formula.nothing_else,
)
SCHEDULES = Kit("check_schedule", SCHEDULE_CHECKS, minimum=10)


def check_schedule(
    factory: Callable[[Optimizer], Schedule],
    *,
    steps: int = 20,
    checks: Iterable[str] | None = None,
    opt_out: Mapping[str, str] | None = None,
    reference: Callable[[Any], Any] | None = None,
) -> Report:
    """Check that a schedule keeps the contract, and, with a reference, that it follows its formula.

    factory: builds a new schedule for the optimizer that it is called with, which has lr 0.1 and momentum 0.9
    steps: for how many steps it is followed;  checks, opt_out: as in check_layer
    reference: builds the same for a torch.optim.SGD, such as `lambda o: torch.optim.lr_scheduler.StepLR(o, 3)`
    Returns and raises as check_layer does.
    """
    kit = SCHEDULES.given(reference)
    require_factory(kit.name, factory, Schedule, "lambda optimizer: StepLR(optimizer, 3), say")
    if type(steps) is not int or steps < 2:
        raise ArgumentError(f"{kit.name}: steps must be an integer of at least 2, got {steps!r}")
    case = ScheduleCase(factory, steps, reference)

    def reproduce(_: str, check: str) -> str:
        named = ", reference=..." if reference is not None else ""
        return f"{kit.name}(lambda optimizer: {part()}(optimizer, ...){named}, steps={steps}, checks=({check!r},))"

    def part() -> str:
        return type(build(case)).__name__

    return kit.run(part, {"": case}, reproduce, checks, opt_out)


def declare_schedule(
    factory: Callable[[Optimizer], Schedule],
    *,
    steps: int = 20,
    opt_out: Mapping[str, str] | None = None,
    reference: Callable[[Any], Any] | None = None,
) -> Declaration:
    """Declare a schedule for pytest. The arguments are those of check_schedule; see declare_layer."""
    check = partial(check_schedule, factory, steps=steps, reference=reference)
    return Declaration(check, SCHEDULES.given(reference), dict(opt_out or {}))
