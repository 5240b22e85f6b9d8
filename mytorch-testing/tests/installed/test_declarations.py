"""How a part that holds others is built where nobody says how."""

from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch

from mytorch.core import ArgumentError, Module, Schedule, require_floating, require_upstream
from mytorch.testing.installed.check_part import check_part
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


def part(cls, kind="schedule"):
    return SimpleNamespace(kind=kind, name=cls.__name__, load=lambda: cls)


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


class StraightThrough(Module):
    """y = sign(x), with the gradient of y = x, which autograd finds as well and finite differences do not."""

    conformance: ClassVar = {
        "inputs": [torch.linspace(-0.9, 1, 15).reshape(5, 3)],
        "opt_out": {"finite_differences": "straight through", "full_jacobian": "straight through"},
    }

    def forward(self, x):
        require_floating(self, x)
        return x + (x.sign() - x).detach(), x.shape

    def backward(self, d_y, shape):
        require_upstream(self, d_y, shape)
        return d_y.clone() if self.input_grad else None


class NeedsNone(StraightThrough):
    """y = x, whose checks need no opt-out."""

    def forward(self, x):
        require_floating(self, x)
        return x.clone(), x.shape


def test_checks_that_a_part_opts_out_of_are_told_and_must_fail():
    outcome = check_part(part(StraightThrough, "layer"), Told())
    assert outcome.passed
    assert "4 opted out (straight through)" in outcome.lines[0]
    outcome = check_part(part(NeedsNone, "layer"), Told())
    assert not outcome.passed
    text = "must fail, since it is opted out of (straight through), but it passes"
    assert sum(text in line for line in outcome.lines) == 2, outcome.lines
