"""How a schedule that holds others is built where nobody says how."""

from types import SimpleNamespace

import pytest

from mytorch.core import ArgumentError, Schedule
from mytorch.testing.installed.declarations import Told, declarations


class Halves(Schedule):
    def settings(self, step, initial):
        return {"lr": initial["lr"] * 0.5**step}


class First(Schedule):
    """The settings of the first of its schedules, which are its first argument."""

    def __init__(self, schedules, optimizer=None):
        self.first = schedules[0]
        super().__init__(optimizer or self.first.optimizer)

    def settings(self, step, initial):
        return self.first.settings(step, initial)


class Says(First):
    conformance = {"arguments": {"schedules": lambda optimizer: [Halves(optimizer)]}}  # noqa: RUF012


def part(cls):
    return SimpleNamespace(kind="schedule", name=cls.__name__, load=lambda: cls)


def test_an_argument_that_is_a_function_is_called_with_the_optimizer():
    ((words, declared),) = declarations(part(Says), Told())
    assert words == "20 steps, no reference"
    assert declared.check().passed
    ((_, told),) = declarations(part(First), Told({"schedules": lambda optimizer: [Halves(optimizer)]}))
    assert told.check().passed


def test_a_schedule_that_says_nothing_of_those_it_holds_is_asked_for_them():
    with pytest.raises(ArgumentError, match="check: argument 'schedules' of First must be given"):
        list(declarations(part(First), Told()))
