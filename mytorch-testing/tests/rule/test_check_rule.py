"""Wrong learning rules, each beside a right twin: the check that names the fault fails it and passes the twin."""

import doctest
import importlib
from typing import ClassVar

import pytest
import torch

from mytorch.core import ArgumentError, Rule, allow_autograd
from mytorch.testing import RULE_CHECKS, CheckError, check_rule
from mytorch.testing.rule.nets import Affine, Chain, Jump, Level, Squares, classes, jumps, normalised, numbers


class Backpropagation(Rule):
    """The right twin of those that transpose."""

    transposes = True

    def gradients(self, net, loss, inputs, targets):
        y, saved = net.forward(inputs)
        value, saved_by_loss = loss.forward(y, targets)
        net.backward(loss.backward(1.0, saved_by_loss), saved)
        return value, loss.weight_of(y, targets)


class Local(Rule):
    """The right twin of those that say that they are local: each affine layer learns its targets by a fixed matrix."""

    local = True

    def __init__(self, seed=0):
        self.seed = seed

    def prepare(self, net, loss):
        generator = torch.Generator().manual_seed(self.seed)
        layers = [layer for layer in net if hasattr(layer, "weight")]
        self.heads = [torch.randn(3, len(layer.weight.value), generator=generator).double() for layer in layers[:-1]]

    def gradients(self, net, loss, inputs, targets):
        heads = iter(self.heads)
        for layer in net:
            inputs, saved = layer.forward(inputs)
            if hasattr(layer, "weight"):
                head = next(heads, None)
                if head is None:
                    value, saved_by_loss = loss.forward(inputs, targets)
                    layer.backward(loss.backward(1.0, saved_by_loss), saved)
                else:
                    self.teach(layer, inputs, head, targets, saved)
        return value, loss.weight_of(inputs, targets)

    def teach(self, layer, outputs, head, targets, saved):
        error = outputs @ head.T - targets
        layer.backward(2 * error @ head / error.numel(), saved)

    def state_dict(self):
        return {"heads": self.heads}

    def load_state_dict(self, state):
        self.heads = list(state["heads"])


class Guesses(Rule):
    """The right twin of those of forward passes alone, with a generator of its own."""

    forward_only = True

    def __init__(self, seed=0):
        self.seed = seed

    def prepare(self, net, loss):
        self.generator = torch.Generator().manual_seed(self.seed)

    def gradients(self, net, loss, inputs, targets):
        held = net.param()
        z = [torch.randn(one.value.shape, dtype=torch.float64, generator=self.generator) for one in held]
        values, found = [one.value for one in held], []
        for sign in (1e-3, -1e-3):
            for one, value, step in zip(held, values, z, strict=True):
                one.value = value + sign * step
            found.append(loss(net(inputs), targets))
        for one, value, step in zip(held, values, z, strict=True):
            one.value = value
            one.accumulate((found[0] - found[1]) / 2e-3 * step)
        return found[0], len(inputs)

    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])


class Alone(Backpropagation):
    """Returns the loss without its weight."""

    def gradients(self, net, loss, inputs, targets):
        return super().gradients(net, loss, inputs, targets)[0]


class Idle(Backpropagation):
    """Adds nothing."""

    def gradients(self, net, loss, inputs, targets):
        y = net(inputs)
        return loss(y, targets), loss.weight_of(y, targets)


class Rows(Backpropagation):
    """Returns the losses of all rows."""

    def gradients(self, net, loss, inputs, targets):
        value, weight = super().gradients(net, loss, inputs, targets)
        return value.expand(3), weight


class Replaces(Backpropagation):
    """Puts its gradients in the place of what is there."""

    def gradients(self, net, loss, inputs, targets):
        for held in net.param():
            held.grad = None
        return super().gradients(net, loss, inputs, targets)


class Descends(Backpropagation):
    """Takes the step itself."""

    def gradients(self, net, loss, inputs, targets):
        result = super().gradients(net, loss, inputs, targets)
        for held in net.param():
            held.value.sub_(0.01 * held.grad)
        return result


class Leaves(Backpropagation):
    """Leaves a method in the layers."""

    def gradients(self, net, loss, inputs, targets):
        net.layers[0].backward = net.layers[0].backward
        return super().gradients(net, loss, inputs, targets)


class DrawsOfTorch(Guesses):
    """Draws from the generator of everybody."""

    def prepare(self, net, loss):
        self.generator = torch.default_generator


class Unseeded(Guesses):
    """Begins with other numbers each time."""

    def prepare(self, net, loss):
        self.generator = torch.Generator()
        self.generator.seed()


class Transports(Backpropagation):
    """Says that it does without the weights above."""

    transposes = False


class LocalOnly(Local):
    """Local in words: the layers below are told of the loss."""

    def gradients(self, net, loss, inputs, targets):
        return Backpropagation.gradients(self, net, loss, inputs, targets)


class ForwardOnly(Backpropagation):
    """Forward passes alone in words."""

    forward_only = True


class Climbs(Backpropagation):
    """Goes up."""

    def gradients(self, net, loss, inputs, targets):
        result = super().gradients(net, loss, inputs, targets)
        for held in net.param():
            held.grad = -held.grad
        return result


class Forgets(Guesses):
    """Says nothing of its generator."""

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Holds(Guesses):
    """A state that no checkpoint can hold."""

    def state_dict(self):
        return {"generator": self.generator}


class Counts(Backpropagation):
    """A rate that falls, whose state is taken up only by a rule that is new."""

    steps = 0

    def prepare(self, net, loss):
        self.steps = 0

    def gradients(self, net, loss, inputs, targets):
        result = super().gradients(net, loss, inputs, targets)
        self.steps += 1
        for held in net.param():
            held.grad = held.grad / self.steps
        return result

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = max(self.steps, state["steps"])


class CountsRight(Counts):
    def load_state_dict(self, state):
        self.steps = state["steps"]


class Averages(Backpropagation):
    """The right twin of those that take several batches."""

    refuses: ClassVar[dict[str, str]] = {}


class Normed(Averages):
    """Divides by the norm, which is not that of a mean."""

    def gradients(self, net, loss, inputs, targets):
        result = super().gradients(net, loss, inputs, targets)
        for held in net.param():
            held.grad = held.grad / (held.grad.norm() + 1e-8)
        return result


class Together(Normed):
    """The right twin of those that look at several batches at once."""

    def gradients_of_several(self, net, loss, inputs, targets):
        return self.gradients(net, loss, torch.cat(inputs), torch.cat(targets))


class LastAlone(Normed):
    """Looks at the last of several batches alone."""

    def gradients_of_several(self, net, loss, inputs, targets):
        return self.gradients(net, loss, inputs[-1], targets[-1])


WRONG = [
    (Alone, Backpropagation, "result", "gradients must return the loss and its weight, got Tensor"),
    (Rows, Backpropagation, "result", "the loss must be a finite 0-dim tensor"),
    (Idle, Backpropagation, "result", "must be other than zero, got none of any"),
    (Replaces, Backpropagation, "adds", "be added to what is there"),
    (Descends, Backpropagation, "unchanged", "gradients must leave the values of the net"),
    (
        Leaves,
        Backpropagation,
        "unchanged",
        "gradients must leave the methods of layers, got another backward",
    ),
    (DrawsOfTorch, Guesses, "unchanged", "gradients must leave torch's random state"),
    (Unseeded, Guesses, "repeatable", "must be the same for two rules that are built alike"),
    (Transports, Local, "no_weight_transport", "not depend on weights of layer '2' that leave its outputs"),
    (LocalOnly, Local, "locality", "not depend on the layers from '2' on"),
    (ForwardOnly, Guesses, "no_backward", "no backward must be called by a rule that is forward_only"),
    (Normed, Averages, "several_batches", "be the mean over two parts of the batch, since `refuses` does not name"),
    (LastAlone, Together, "several_batches", "be the mean over two parts of the batch"),
    (
        Normed,
        Averages,
        "scaled_loss",
        "be 8 times as large where the loss sends that back, since `refuses`",
    ),
    (Climbs, Backpropagation, "learns", "the loss must be lower after 100 steps of SGD with lr=0.05"),
    (Holds, Guesses, "plain_state", "got a Generator at generator"),
    (
        Forgets,
        Guesses,
        "state_resumes",
        "the same to the bit by a new rule that loads the state after 1 steps",
    ),
    (Counts, CountsRight, "state_goes_back", "to the bit by a used rule that loads the state after 1 steps"),
]


@pytest.mark.parametrize(("wrong", "right", "check", "text"), WRONG, ids=[wrong.__name__ for wrong, *_ in WRONG])
def test_a_wrong_rule_fails_where_its_twin_passes(wrong, right, check, text):
    assert check_rule(right, checks=[check], lr=0.02 if right is Guesses else 0.05).passed == [check]
    with pytest.raises(CheckError, match=text) as caught:
        check_rule(wrong, checks=[check])
    assert f"{wrong.__name__}: {check}: " in str(caught.value)
    assert f"reproduce: check_rule(lambda: {wrong.__name__}(...), seed=0, checks=('{check}',))" in str(caught.value)


def test_every_check_has_a_wrong_rule():
    assert {check for _, _, check, _ in WRONG} == {check.__name__ for check in RULE_CHECKS}


class Wavers(Backpropagation):
    """Goes down once, and then up in small steps."""

    def prepare(self, net, loss):
        self.steps = 0

    def gradients(self, net, loss, inputs, targets):
        result = super().gradients(net, loss, inputs, targets)
        self.steps += 1
        for held in net.param():
            held.grad = held.grad if self.steps == 1 else -1e-3 * held.grad
        return result


def test_an_update_that_agrees_with_no_gradient_is_told_by_its_angle():
    text = "the mean cosine between update and gradient must be above 0 over 100 steps, got -0.98"
    with pytest.raises(CheckError, match=text):
        check_rule(Wavers, checks=["learns"])


@pytest.mark.parametrize("rule", [Averages, Backpropagation, Local, Guesses, CountsRight])
def test_right_rules_pass_all_checks(rule):
    report = check_rule(rule, lr=0.02)
    assert len(report.passed) + len(report.skipped) == len(RULE_CHECKS)
    assert ("no_weight_transport" in report.skipped) == (rule is not Local)


class OfClasses(Backpropagation):
    def prepare(self, net, loss):
        if loss.outputs != "softmax":
            raise ArgumentError("OfClasses: the loss must be one of classes, got another")


class OfJumps(Rule):
    transposes = True

    def prepare(self, net, loss):
        if not any(isinstance(layer, Jump) for layer in net.modules()):
            raise ArgumentError("OfJumps: the net must jump, got one that does not")

    def gradients(self, net, loss, inputs, targets):
        for layer in net:
            if isinstance(layer, Jump):
                layer.jump_derivative = torch.ones_like
        try:
            return Backpropagation().gradients(net, loss, inputs, targets)
        finally:
            for layer in net:
                vars(layer).pop("jump_derivative", None)


class OfNothing(Rule):
    def prepare(self, net, loss):
        raise ArgumentError(f"OfNothing: must not be used, got {loss.outputs}")


class OfLevels(Backpropagation):
    def gradients(self, net, loss, inputs, targets):
        if not any(isinstance(layer, Level) for layer in net.modules()):
            raise ArgumentError("OfLevels: the net must be normalised, got one that is not")
        return super().gradients(net, loss, inputs, targets)


@pytest.mark.parametrize("rule", [OfClasses, OfJumps, OfLevels])
def test_a_rule_is_tried_on_the_first_net_that_it_trains(rule):
    assert len(check_rule(rule).passed) >= 7


def test_a_rule_that_trains_none_of_them_asks_for_a_net():
    text = "check_rule: the rule must train a chain .* OfNothing: must not be used, got numbers; .* got softmax; give"
    with pytest.raises(ArgumentError, match=text):
        check_rule(OfNothing)


def test_a_net_of_ones_own():
    def build():
        net = Chain(Affine(9, 12), Affine(12, 2)).double()
        return net, Squares(), torch.randn(4, 9).double(), torch.randn(4, 2).double()

    assert check_rule(Local, build=_three, checks=["no_weight_transport"]).passed
    assert "learns" in check_rule(Backpropagation, build=build).passed


def _three():
    net = Chain(Affine(9, 12), Affine(12, 12), Affine(12, 3)).double()
    return net, Squares(), torch.randn(4, 9).double(), torch.randn(4, 3).double()


def test_more_rows_than_inputs_leave_nothing_to_change():
    def build():
        net = Chain(Affine(9, 5), Affine(5, 3)).double()
        return net, Squares(), torch.randn(8, 9).double(), torch.randn(8, 3).double()

    report = check_rule(Local, build=build, checks=["no_weight_transport"])
    assert "rows must be fewer than the inputs of each layer, got 8 for 5" in report.skipped["no_weight_transport"]


@pytest.mark.parametrize("build", [numbers, classes, jumps, normalised])
def test_the_kits_own_gradients_are_those_of_autograd(build):
    net, loss, x, t = build()
    y, saved = net.forward(x)
    net.backward(loss.backward(1.0, loss.forward(y, t)[1]), saved)
    held = [one for one in net.param() if build is not jumps or one in (net.layers[-1].weight, net.layers[-1].bias)]
    values = [one.value for one in held]
    for one in held:
        one._value = one.value.clone().requires_grad_()
    with allow_autograd():
        z = loss(net(x), t)
    wanted = torch.autograd.grad(z, [one.value for one in held])
    for one, value, d in zip(held, values, wanted, strict=True):
        one._value = value
        torch.testing.assert_close(one.grad, d)


def test_what_is_no_factory_is_refused():
    with pytest.raises(ArgumentError, match=r"check_rule: factory must build a new one at each call"):
        check_rule(Backpropagation())


def test_the_example_of_the_data_sheet():
    tested = doctest.testmod(importlib.import_module("mytorch.testing.rule.check_rule"))
    assert (tested.attempted > 3, tested.failed) == (True, 0)
