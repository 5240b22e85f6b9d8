"""Wrong optimizers, each beside a right twin: the check that names the fault fails it and passes the twin."""

import random
from typing import ClassVar

import pytest
import torch

from mytorch.core import ArgumentError, Optimizer, Parameter, StateError, persistent, require_range
from mytorch.plugins import UnknownNameError
from mytorch.testing import OPTIMIZER_CHECKS, CheckError, check_optimizer


class Momentum(Optimizer):
    """The right twin.  v = momentum * v + (1 - dampening) * g, first v = g;  value -= lr * v"""

    elementwise = True
    state_entries: ClassVar = {"v": "value"}

    def __init__(self, params, lr=0.1, momentum=0.9, dampening=0.3):
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening})

    def check_settings(self, group):
        require_range(type(self).__name__, "lr", group["lr"], 0.0)

    def first(self, g, group):
        return persistent(g)

    def update(self, values, grads, states, group):
        for value, grad, state in zip(values, grads, states, strict=True):
            if "v" in state:
                state["v"].mul_(group["momentum"]).add_(grad, alpha=1 - group["dampening"])
            else:
                state["v"] = self.first(grad, group)
            self.move(value, state["v"], group)

    def move(self, value, v, group):
        value.sub_(group["lr"] * v)


class StartsAtZero(Momentum):
    def first(self, g, group):
        return persistent(g * (1 - group["dampening"]))


class WrongSign(Momentum):
    def move(self, value, v, group):
        value.add_(group["lr"] * v)


class DividesByTheNorm(Momentum):
    def move(self, value, v, group):
        value.sub_(group["lr"] * v / (v.norm() + 1e-9))


class Rebinds(Momentum):
    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.value = parameter.value.clone()


class WritesGradient(Momentum):
    def update(self, values, grads, states, group):
        for grad in grads:
            grad.mul_(0.5)
        super().update(values, grads, states, group)


class SharesGradient(Momentum):
    """The first velocity is the gradient's own memory, which later steps write into."""

    def update(self, values, grads, states, group):
        for value, grad, state in zip(values, grads, states, strict=True):
            state["v"] = state.get("v", grad)
            state["v"].mul_(0.9)
            self.move(value, state["v"], group)


class MovesAll(Momentum):
    """Goes through the group by itself and forgets who has no gradient and who is not to be trained."""

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter.value)
            values, grads = [p.value for p in group["params"]], [p.grad for p in group["params"]]
            self.update(values, grads, [self.state[p] for p in group["params"]], group)


class DecaysWithoutGradient(Momentum):
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.value.mul_(0.9)
        super().step(closure)


class OneVelocity(Momentum):
    """The norm over all gradients decides how far each goes."""

    def update(self, values, grads, states, group):
        norm = torch.stack([grad.square().sum() for grad in grads]).sum().sqrt()
        for value, grad in zip(values, grads, strict=True):
            value.sub_(group["lr"] * grad / norm)


class OneCount(Momentum):
    """A count of steps for all: a parameter that comes late is taken for an old one."""

    steps = 0

    def step(self, closure=None):
        self.steps += 1
        super().step(closure)

    def move(self, value, v, group):
        value.sub_(group["lr"] * v / (1 - 0.9**self.steps))


class CountsUpdates(Momentum):
    """Writes a count into the group, which is another's for some parameters alone."""

    def update(self, values, grads, states, group):
        group["steps"] = group.get("steps", 0) + 1
        super().update(values, grads, states, group)

    def move(self, value, v, group):
        value.sub_(group["lr"] * v / group["steps"])


class FirstGroupsRate(Momentum):
    def move(self, value, v, group):
        value.sub_(self.param_groups[0]["lr"] * v)


class RemembersRate(Momentum):
    def __init__(self, params, lr=0.1, **settings):
        self.lr = lr
        super().__init__(params, lr, **settings)

    def move(self, value, v, group):
        value.sub_(self.lr * v)


class KnowsNumbersOnly(Momentum):
    def move(self, value, v, group):
        value.sub_((group["lr"] if isinstance(group["lr"], float) else 1.0) * v)


class TakesAnyRate(Momentum):
    def check_settings(self, group):
        pass


class ForgetsState(Momentum):
    def state_dict(self):
        return {**super().state_dict(), "state": {}}


class KeepsItsOwn(Momentum):
    """What it has already is not replaced by what it loads, though a new one takes all."""

    def load_state_dict(self, state):
        held = {parameter: dict(entries) for parameter, entries in self.state.items()}
        super().load_state_dict(state)
        for parameter, entries in held.items():
            self.state[parameter].update(entries)


class CountsBeside(Momentum):
    """How many steps it took decides the next, and is in no state."""

    steps = 0

    def step(self, closure=None):
        self.steps += 1
        return super().step(closure)

    def move(self, value, v, group):
        value.sub_(group["lr"] * v / self.steps)


class DrawsFromPython(Momentum):
    """What it draws from is of the random state: that is right."""

    def move(self, value, v, group):
        value.sub_(group["lr"] * v * (1 + random.random()))


class KeepsGradients(Momentum):
    def zero_grad(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad.zero_()


class WidensState(Momentum):
    def first(self, g, group):
        return persistent(g.double())


class StaysBehind(Momentum):
    """What a number is called does not follow the value."""

    state_entries: ClassVar = {"v": "number"}


class SaysNothing(Momentum):
    """The state that it loads could be anybody's."""

    state_entries: ClassVar = {}


class WalksMemory(Momentum):
    def move(self, value, v, group):
        flat = torch.as_strided(value, v.shape, torch.empty(v.shape).stride())
        flat.sub_(group["lr"] * v)


class MeansOverElements(Momentum):
    def move(self, value, v, group):
        if not v.numel():
            raise ZeroDivisionError("no elements")
        super().move(value, v, group)


class Draws(Momentum):
    counter = torch.Generator().manual_seed(0)

    def move(self, value, v, group):
        value.sub_(group["lr"] * v * torch.rand((), generator=self.counter, dtype=torch.float64))


class InferenceState(Momentum):
    def first(self, g, group):
        return g.clone()


class Records(Momentum):
    def move(self, value, v, group):
        value.requires_grad_().data.sub_(group["lr"] * v)


class AsksForNumbers(Momentum):
    def move(self, value, v, group):
        if v.sum().item() < 1e9:
            super().move(value, v, group)


class TakesAnyState(Momentum):
    def load_state_dict(self, state):
        for number, parameter in enumerate(self.param_groups[0]["params"]):
            self.state[parameter] = dict(state["state"].get(number, {}))


class TakesAnyClass(Momentum):
    """Of another optimizer that keeps the same."""

    def load_state_dict(self, state):
        super().load_state_dict({name: state[name] for name in ("state", "param_groups")})


class IgnoresTheClosure(Momentum):
    def step(self, closure=None):
        super().step()


class KeepsTheLoss(Momentum):
    def step(self, closure=None):
        super().step(closure)


class TakesAnySetting(Momentum):
    def add_param_group(self, group):
        known = {"params", *self.defaults}
        super().add_param_group({name: value for name, value in group.items() if name in known})


def torch_sgd(params):
    return torch.optim.SGD(params, lr=0.1, momentum=0.9, dampening=0.3)


WRONG = [
    (StartsAtZero, "reference", "must equal the reference's after step 1"),
    (WrongSign, "descends", "must go down in 50 steps, got .* has the update the wrong sign"),
    (WrongSign, "reference", "must equal the reference's after step 1"),
    (Rebinds, "value_in_place", r"the value of shape \(3, 4\) must be changed in place, got another tensor"),
    (WritesGradient, "gradients_unwritten", r"the gradient of shape \(3, 4\) must not be written into, but step did"),
    (SharesGradient, "reference", "must equal the reference's"),
    (MovesAll, "absent_gradient", "a parameter whose grad is None must get no state"),
    (DecaysWithoutGradient, "absent_gradient", "a parameter whose grad is None must stay what it is"),
    (MovesAll, "not_trainable", "a parameter with trainable=False must stay what it is"),
    (OneVelocity, "parameters_apart", "must be the same with an optimizer of its own .tag mixes_parameters"),
    (OneVelocity, "step_only", "must be the same from step_only .* if it cannot, set mixes_parameters = True"),
    (DividesByTheNorm, "elementwise", "must be the same as its halves, .* if it cannot, set elementwise = False"),
    (OneCount, "late_parameter", "must move as with a new optimizer when its first gradient comes at step 3"),
    (FirstGroupsRate, "groups", "must be the same in a group with its lr as with an optimizer with that lr"),
    (RemembersRate, "setting_zero", "must stay what it is once lr is 0"),
    (KnowsNumbersOnly, "setting_tensor", "must be the same with lr as a tensor of no axes"),
    (TakesAnyRate, "bad_setting", "lr of -1.0 must raise an ArgumentError that names TakesAnyRate, got none"),
    (ForgetsState, "state_round_trip", "must go on the same from loaded state as without a stop"),
    (KeepsItsOwn, "state_rewinds", "must be the same when step 1 is taken again from the state before it"),
    (CountsBeside, "state_rewinds", "what decides a step must be in the state"),
    (KeepsGradients, "zero_grad", "zero_grad must set every gradient to None"),
    (WidensState, "float32", "v must be torch.float32 as its parameter is, got torch.float64"),
    (StaysBehind, "moved", "v must be torch.float32 as its parameter is, got torch.float64"),
    (TakesAnyState, "state_foreign", "state of unknown entries must raise a StateError, got none"),
    (TakesAnyClass, "state_foreign", "state of another class must raise a StateError, got none"),
    (IgnoresTheClosure, "closure", "step must call the closure that it is given"),
    (KeepsTheLoss, "closure", r"step must return what the closure returned, \d+.\d+, got None"),
    (TakesAnySetting, "unknown_setting", "a group with a setting 'no_such_setting' must raise an ArgumentError"),
    (SaysNothing, "state_round_trip", "must load its own state, got .*StateError"),
    (WalksMemory, "non_contiguous", "must be the same where memory is not contiguous"),
    (Draws, "determinism", "must be the same under the same seed"),
    (InferenceState, "inference_mode", "state 'v' must outlive inference mode: make it with mytorch.core.persistent"),
    (Records, "no_autograd", "must not be part of an autograd graph"),
    (AsksForNumbers, "traceable", "step must be one graph of torch.compile"),
]


@pytest.mark.parametrize(
    ("wrong", "check", "text"), WRONG, ids=[f"{wrong.__name__}-{check}" for wrong, check, _ in WRONG]
)
def test_a_wrong_optimizer_fails_where_its_twin_passes(wrong, check, text):
    named = {"checks": (check,), "reference": torch_sgd}
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(.*{check}: .*{text}.*reproduce: check_optimizer"):
        check_optimizer(wrong, **named)
    assert check_optimizer(Momentum, **named).passed == [check]


def test_loading_over_what_is_there_is_a_check_of_its_own_and_random_numbers_may_be_drawn():
    assert check_optimizer(KeepsItsOwn, checks=("state_round_trip",)).passed == ["state_round_trip"]
    assert check_optimizer(DrawsFromPython, checks=("state_rewinds",)).passed == ["state_rewinds"]


def test_the_right_twin_passes_all():
    report = check_optimizer(Momentum, reference=torch_sgd)
    assert report.passed == [check.__name__ for check in OPTIMIZER_CHECKS]
    assert str(report).startswith(
        "Momentum(lr=0.1, momentum=0.9, dampening=0.3): 28 of 28 checks passed; 28 different ones, at least 17 must: "
    )


def test_an_error_of_the_optimizer_s_own_says_in_which_check():
    text = r"(?s)no_elements: step\(\) must not raise, got ZeroDivisionError: no elements\n  reproduce: check_opti"
    with pytest.raises(CheckError, match=text) as caught:
        check_optimizer(MeansOverElements, checks=("no_elements",))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert check_optimizer(Momentum, checks=("no_elements",)).passed == ["no_elements"]


def test_a_setting_that_is_written_is_an_error_of_the_contract():
    text = "got StateError: CountsUpdates: update must leave settings .* a changed 'steps'; .* mixes_parameters = True"
    with pytest.raises(CheckError, match=text) as caught:
        check_optimizer(CountsUpdates, checks=("step_only",))
    assert isinstance(caught.value.__cause__, StateError)


def test_tags_say_what_does_not_apply():
    report = check_optimizer(OneVelocity, tags=("mixes_parameters",), checks=("groups", "parameters_apart"))
    assert report.skipped == dict.fromkeys(("groups", "parameters_apart"), "tag mixes_parameters")
    with pytest.raises(UnknownNameError, match=r"check_optimizer: unknown tag 'mixes'\. .*mixes_parameters"):
        check_optimizer(Momentum, tags=("mixes",))


class SaysSo(OneVelocity):
    mixes_parameters = True


def test_an_optimizer_that_says_that_it_mixes_parameters_is_taken_at_its_word():
    checks = ("parameters_apart", "step_only", "absent_gradient")
    report = check_optimizer(SaysSo, checks=checks)
    assert report.passed == ["absent_gradient"]
    assert report.skipped["parameters_apart"] == "tag mixes_parameters"
    assert report.skipped["step_only"] == (
        "SaysSo: parameters must be updated all at once, got some of them: it mixes parameters"
    )
    report = check_optimizer(OneCount, checks=("step_only",))
    assert report.skipped["step_only"].endswith("got some of them: it has a step of its own")
    with pytest.raises(CheckError, match=r"step_only: .*set mixes_parameters = True"):  # the tag is the kit's alone
        check_optimizer(OneVelocity, tags=("mixes_parameters",), checks=("step_only",))


class InOnePiece(DividesByTheNorm):
    elementwise = False


def test_an_optimizer_that_needs_whole_parameters_says_so():
    report = check_optimizer(InOnePiece, checks=("elementwise", "groups"))
    assert report.skipped == {"elementwise": "it does not state elementwise = True"}


def test_an_optimizer_in_place_of_a_factory():

    with pytest.raises(
        ArgumentError, match="check_optimizer: factory must build a new one at each call, got Momentum"
    ):
        check_optimizer(Momentum([Parameter(torch.ones(1))]))


class MatricesAlone(Momentum):
    def check_settings(self, group):
        super().check_settings(group)
        if any(parameter.value.dim() != 2 for parameter in group["params"]):
            raise ArgumentError(f"{type(self).__name__}: params must be matrices")


class ForgetsMatrices(MatricesAlone):
    def first(self, g, group):
        return persistent(torch.zeros_like(g))


MATRICES = ((3, 4), (5, 2), (1, 1), (3, 3))


def test_shapes_are_those_of_the_parameters_and_stand_in_the_line_to_reproduce():
    def reference(tensors):
        return torch.optim.SGD(tensors, lr=0.1, momentum=0.9, dampening=0.3)

    with pytest.raises(ArgumentError, match="params must be matrices"):
        check_optimizer(MatricesAlone)
    report = check_optimizer(MatricesAlone, shapes=MATRICES, reference=reference)
    assert len(report.passed) == len(OPTIMIZER_CHECKS)
    with pytest.raises(
        CheckError, match=r"of shape \(3, 4\) must equal the reference's .*(?s:.*)shapes=\(\(3, 4\), \(5, 2\)"
    ):
        check_optimizer(ForgetsMatrices, shapes=MATRICES, reference=reference)


def test_keeps_lr_leaves_out_what_a_rate_read_before_cannot_pass():
    report = check_optimizer(RemembersRate, checks=("setting_zero",), tags=("keeps_lr",))
    assert report.passed == []
    assert report.skipped == {"setting_zero": "tag keeps_lr"}
