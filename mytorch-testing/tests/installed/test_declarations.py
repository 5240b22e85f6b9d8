"""How a part that holds others is built where nobody says how."""

from types import SimpleNamespace

import pytest

from mytorch.core import ArgumentError, Module, Schedule
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


class Chain(Module):
    """Layers one after the other."""

    def __init__(self, *layers: Module) -> None:
        self.layers = list(layers)
        assert len(layers) == 2

    def forward(self, x):
        saved = []
        for layer in self.layers:
            x, kept = layer.forward(x)
            saved.append(kept)
        return x, saved

    def backward(self, d_y, saved):
        for layer in reversed(self.layers):
            d_y = layer.backward(d_y, saved.pop())
        return d_y


def test_a_layer_that_holds_any_number_of_others_is_given_two():
    ((words, declared),) = declarations(SimpleNamespace(kind="layer", name="Chain", load=lambda: Chain), Told())
    assert words == "inputs: normal (5, 3)"
    assert declared.check().passed
