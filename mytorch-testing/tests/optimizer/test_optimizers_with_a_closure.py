"""Wrong optimizers that need a closure: the check that names the fault fails each and passes the right twin."""

from typing import ClassVar

import pytest

from mytorch.core import ArgumentError, Optimizer, require_range
from mytorch.testing import OPTIMIZER_CHECKS, CheckError, check_optimizer


class Searching(Optimizer):
    """The right twin of those that need a closure: begins with lr / steps, which it halves until the loss falls."""

    needs_closure = True
    mixes_parameters = True
    state_entries: ClassVar = {"steps": "number"}

    def __init__(self, params, lr=0.5):
        super().__init__(params, {"lr": lr})

    def check_settings(self, group):
        require_range(type(self).__name__, "lr", group["lr"], 0.0)

    def step(self, closure=None):
        if closure is None:
            raise ArgumentError(f"{type(self).__name__}: step must be given a closure, got none")
        loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.trainable and p.grad is not None]
            moved = [(p, p.value.clone(), p.grad.clone()) for p in parameters]
            length = group["lr"] / self.count(group)
            while True:
                for parameter, start, grad in moved:
                    parameter.value.copy_(start - self.sign * length * grad)
                if closure() <= loss or length < 1e-9:
                    break
                length = length / 2
        return loss

    sign = 1

    def count(self, group):
        state = self.state[group["params"][0]]
        state["steps"] = state.get("steps", 0) + 1
        return state["steps"]


class NeedsNone(Searching):
    """Says nothing where there is no closure."""

    def step(self, closure=None):
        return None if closure is None else super().step(closure)


class ScalesGradients(Searching):
    def step(self, closure=None):
        loss = super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad.mul_(0.5)
        return loss


class KeepsTheCount(Searching):
    """What it remembers is no part of its state."""

    steps = 0

    def count(self, group):
        self.steps += 1
        return self.steps


class Climbs(Searching):
    sign = -1


class AnswersNothing(Searching):
    def step(self, closure=None):
        super().step(closure)


@pytest.mark.parametrize(
    ("wrong", "check", "text"),
    [
        (NeedsNone, "closure", "a step without the closure that it needs must raise an ArgumentError, got none"),
        (AnswersNothing, "closure", r"step must return what the closure returned, -?\d+.\d+, got None"),
        (ScalesGradients, "gradients_unwritten", r"the gradient of shape \(3, 4\) must not be written into"),
        (KeepsTheCount, "state_round_trip", "must go on the same from loaded state as without a stop"),
        (Climbs, "descends", "must go down in 50 steps, got .*has the update the wrong sign"),
    ],
)
def test_a_wrong_optimizer_with_a_closure_fails_where_its_twin_passes(wrong, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(.*{check}: .*{text}.*reproduce: check_optimizer"):
        check_optimizer(wrong, checks=(check,))
    assert check_optimizer(Searching, checks=(check,)).passed == [check]


def test_the_right_twin_with_a_closure_passes_all_that_concerns_it():
    report = check_optimizer(Searching)
    skipped = ("parameters_apart", "step_only", "elementwise", "late_parameter", "groups", "traceable")
    assert {*report.passed, *skipped} == {check.__name__ for check in OPTIMIZER_CHECKS} - {"reference"}
    assert report.skipped["traceable"] == "its step needs a closure, which is not compiled"
