"""A step whose updates come during the backward pass equals the plain one and holds the gradients of one layer."""

from dataclasses import dataclass

import pytest
import torch
from sharing_nets import NETS, Detour, Temperature, tied, tied_across, twice
from toy_parts import SGD, Both, Chain, Dense, Rectify, SquaredError

from mytorch.core import Module, Parameter
from mytorch.train import LateGradientError, step, step_in_backward


def two_groups(net):
    parameters = net.param()
    return SGD([{"params": parameters[::2]}, {"params": parameters[1::2], "lr": 0.02, "momentum": 0.9}], lr=0.1)


def trained(take, build, optimizer=two_groups, loss=SquaredError, steps=4):
    """The losses and the state after some steps."""
    torch.manual_seed(3)
    net, loss = build(), loss()
    made = optimizer(net)
    with torch.inference_mode():
        losses = [take(net, loss, made, torch.randn(5, 3), torch.randn(5, 2)) for _ in range(steps)]
    assert all(parameter.grad is None for parameter in net.param() + loss.param())
    return losses, net.state_dict() | loss.state_dict(), made.state_dict()["state"]


@pytest.mark.parametrize("build", NETS.values(), ids=NETS)
def test_it_equals_the_plain_step_to_the_bit(build):
    torch.testing.assert_close(trained(step_in_backward, build), trained(step, build), rtol=0, atol=0)


def test_parameters_of_the_loss_and_of_nobody_are_updated_as_well():
    stray = Parameter(torch.ones(2))  # in the optimizer, with a gradient, and in no module

    def run(take):
        stray.value.fill_(1.0)
        loss = Temperature()

        def optimizer(net):
            stray.grad = torch.ones(2)
            return SGD([*net.param(), *loss.param(), stray], 0.1, momentum=0.9)

        return *trained(take, NETS["chain"], optimizer, lambda: loss), stray.value.clone()

    found = run(step_in_backward)
    torch.testing.assert_close(found, run(step), rtol=0, atol=0)
    assert not torch.equal(found[-1], torch.ones(2))


def test_gradients_that_are_there_already_and_those_of_others_count():
    def run(take):
        torch.manual_seed(3)
        net = Chain(Dense(3, 4), Dense(4, 2))
        for parameter in net.param():
            parameter.grad = torch.ones_like(parameter.value)
        optimizer = SGD(net.layers[0].param(), 0.1)
        for _ in range(2):
            take(net, SquaredError(), optimizer, torch.ones(5, 3), torch.zeros(5, 2))
        others = [parameter.grad for parameter in net.layers[1].param()]
        assert all(grad is not None for grad in others)
        return net.state_dict(), others

    torch.testing.assert_close(run(step_in_backward), run(step), rtol=0, atol=0)


def test_layers_that_are_dataclasses():
    @dataclass
    class Scale(Module):
        """Its equal is another layer with an equal gain, and it has no hash."""

        start: float

        def __post_init__(self):
            self.gain = Parameter(torch.tensor(self.start))

        def forward(self, x):
            return self.gain.value * x, x

        def backward(self, d_y, x):
            self.gain.accumulate((d_y * x).sum())
            return self.gain.value * d_y

    def build():
        return Chain(Scale(0.5), Dense(3, 2), Scale(0.5))

    torch.testing.assert_close(trained(step_in_backward, build), trained(step, build), rtol=0, atol=0)


def test_several_inputs():
    def run(take):
        torch.manual_seed(3)
        net = Both(Dense(2, 1), Dense(3, 1))
        take(net, SquaredError(), SGD(net.param()), (torch.randn(4, 2), torch.randn(4, 3)), torch.randn(4, 1))
        return net.state_dict()

    torch.testing.assert_close(run(step_in_backward), run(step), rtol=0, atol=0)


@pytest.fixture
def most_at_once(monkeypatch):
    """The largest number of gradients that parameters held at one time during a step of a net."""
    accumulate = Parameter.accumulate

    def run(take, net, inputs):
        counts = []

        def counting(parameter, d_value):
            accumulate(parameter, d_value)
            counts.append(sum(one.grad is not None for one in net.param()))

        monkeypatch.setattr(Parameter, "accumulate", counting)
        take(net, SquaredError(), SGD(net.param()), inputs, torch.zeros(5, 2))
        return max(counts)

    return run


@pytest.mark.parametrize(
    ("build", "plain", "at_once"),
    [
        (lambda: Chain(*(Dense(3, 3) for _ in range(6)), Dense(3, 2)), 14, 2),
        (lambda: Chain(Detour(Dense(3, 3)), Chain(Dense(3, 3), Rectify()), Dense(3, 2)), 6, 2),
        (tied, 5, 2),
        (tied_across, 6, 3),  # the tied weight waits for its other holder
        (twice, 4, 2),
        (NETS["again"], 6, 4),  # its forward without a backward stays open to the end
    ],
)
def test_gradients_are_freed_layer_by_layer(most_at_once, build, plain, at_once):
    x = torch.randn(5, 3)
    assert most_at_once(step, build(), x) == plain
    assert most_at_once(step_in_backward, build(), x) == at_once


def test_a_gradient_that_comes_after_the_update_is_an_error():
    class Penalty(Module):
        """Adds to the gradient of a weight that only its child holds, after the child's backward."""

        def __init__(self, inner):
            self.inner = inner

        def forward(self, x):
            return self.inner.forward(x)

        def backward(self, d_y, saved):
            d_x = self.inner.backward(d_y, saved)
            self.inner.weight.accumulate(0.1 * self.inner.weight.value)
            return d_x

    class Twice(Penalty):
        """Goes through its child's forward and backward twice, one after the other."""

        def forward(self, x):
            return self.inner(x) * 0, x

        def backward(self, d_y, x):
            self.inner.backward(d_y, self.inner.forward(x)[1])
            return self.inner.backward(d_y, self.inner.forward(x)[1])

    net = Chain(Dense(3, 3), Penalty(Dense(3, 2)))
    given = SquaredError(), SGD(net.param()), torch.randn(5, 3), torch.randn(5, 2)
    text = (
        r"optimizer_in_backward: the gradient of 1\.inner\.weight must be complete when the backward of every module "
        "that holds it has ended, got more after that; let the module that adds to it hold the parameter as an "
        "attribute, or leave optimizer_in_backward out"
    )
    with pytest.raises(LateGradientError, match=text):
        step_in_backward(net, *given)
    net.zero_grad()
    step(net, *given)  # the plain step takes it
    net.layers[1].held = net.layers[1].inner.weight  # the way out
    step_in_backward(net, *given)
    net = Chain(Dense(3, 3), Twice(Dense(3, 2)))
    step_in_backward(net, SquaredError(), SGD(net.param()), *given[2:])  # its forwards stay open


def test_a_layer_that_reads_its_childs_weight_in_the_backward_must_hold_it():
    class Reads(Module):
        """Adds to the gradient of its input what the child's weight is after the child's backward."""

        def __init__(self, holds):
            self.inner = Dense(3, 2)
            if holds:
                self.weight = self.inner.weight

        def forward(self, x):
            return self.inner.forward(x)

        def backward(self, d_y, saved):
            return self.inner.backward(d_y, saved) + self.inner.weight.value.sum()

    def values(take, holds):
        _, state, _ = trained(take, lambda: Chain(Dense(3, 3), Reads(holds)))
        return state["0.weight"]

    assert torch.equal(values(step_in_backward, True), values(step, True))
    assert not torch.equal(values(step_in_backward, False), values(step, False))  # as the docstring warns


def test_a_second_update_in_one_step_is_an_error():
    class Hidden(Module):
        """Computes everything in its backward only, twice over."""

        def __init__(self, inner):
            self.inner = inner

        def forward(self, x):
            return torch.zeros(len(x), 2), x

        def backward(self, d_y, x):
            self.inner.backward(d_y, self.inner.forward(x)[1])
            return self.inner.backward(d_y, self.inner.forward(x)[1])

    net = Hidden(Dense(3, 2))
    with pytest.raises(LateGradientError, match=r"the gradient of inner\.weight must be complete"):
        step_in_backward(net, SquaredError(), SGD(net.param()), torch.randn(5, 3), torch.randn(5, 2))


class Breaks(Module):
    """Its backward raises."""

    def __init__(self, error):
        self.error = error

    def forward(self, x):
        return x, None

    def backward(self, d_y, saved):
        raise self.error


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_what_breaks_off_the_backward_leaves_the_layers_before_it_as_they_were(error):
    net = Chain(Dense(3, 3), Breaks(error), Dense(3, 2))
    before = [parameter.value.clone() for parameter in net.param()]
    with pytest.raises(type(error)) as caught:
        step_in_backward(net, SquaredError(), SGD(net.param()), torch.randn(5, 3), torch.randn(5, 2))
    assert [torch.equal(p.value, old) for p, old in zip(net.param(), before, strict=True)] == [
        True,
        True,
        False,
        False,
    ]
    assert not any({"forward", "backward"} & set(vars(module)) for module in net.modules())
    if isinstance(error, ValueError):
        assert caught.value.__notes__ == ["in layer '1' (Breaks) of Chain"]
