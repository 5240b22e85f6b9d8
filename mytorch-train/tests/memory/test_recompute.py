"""Layers that are computed again give the same step to the bit, and need the memory that was planned."""

import random

import numpy.random
import pytest
import torch
from saving_layers import Live, Own, Saves
from sharing_nets import Detour
from toy_parts import SGD, Chain, Dense, Noise, Rectify, SquaredError, Table

from mytorch.core import ArgumentError, Module
from mytorch.train import fit, step
from mytorch.train.memory import least_bytes, measure
from mytorch.train.memory.memory_step import MemoryStep
from mytorch.train.memory.plan import peak_of
from mytorch.train.memory.recompute import Recompute
from mytorch.train.observe import intercept

pytestmark = pytest.mark.numbers


class Draws(Module):
    """Multiplies by a number that it draws from a generator of its own."""

    def __init__(self, generator):
        self.generator = generator

    def forward(self, x):
        factor = 1 + self.generator.random()
        return factor * x, factor

    def backward(self, d_y, factor):
        return factor * d_y


class Calls(Module):
    """A container with a __call__ of its own, which goes through its forward, and counts the passes."""

    def __init__(self, inner):
        self.inner, self.count = inner, 0

    def forward(self, x):
        self.count += 1
        y, saved = self.inner.forward(x)
        return 2 * y, saved

    def backward(self, d_y, saved):
        return self.inner.backward(2 * d_y, saved)

    def __call__(self, x):
        return self.forward(x)[0]


def network():
    torch.manual_seed(3)
    return Chain(
        Dense(3, 8),
        Noise(),
        Chain(Rectify(), Dense(8, 8), Noise()),
        Detour(Chain(Dense(8, 8), Noise(), Rectify())),
        Calls(Dense(8, 8)),
        Rectify(),
        Dense(8, 2),
    )


def table(rows=40):
    generator = torch.Generator().manual_seed(2)
    return Table(torch.randn(rows, 3, generator=generator), torch.randn(rows, 2, generator=generator))


def budgets():
    measured = measure(network(), torch.randn(8, 3))
    least, most = least_bytes(measured), peak_of(measured, ())
    assert least < most * 0.8
    return [least, (least + most) // 2, most]


@pytest.mark.parametrize(
    "options",
    [{}, {"accumulate": 2}, {"optimizer_in_backward": True}, {"clip_grad_norm": 0.1}, {"clip_grad_value": 0.01}],
    ids=str,
)
def test_training_is_the_same_to_the_bit(options):
    def trained(**memory):
        net = network()
        training = fit(
            net,
            SquaredError(),
            SGD(net.param(), lr=0.1),
            table(),
            epochs=2,
            batch_size=8,
            quiet=True,
            **options,
            **memory,
        )
        return net, training

    net, training = trained()
    for budget in budgets():
        other, other_training = trained(memory=budget)
        for (name, value), again in zip(net.state_dict().items(), other.state_dict().values(), strict=True):
            assert torch.equal(value, again), name
        assert [line["train_loss"] for line in training.history] == [
            line["train_loss"] for line in other_training.history
        ]
        plan = other_training.setup.step.plan
        assert plan.peak <= budget
        assert other_training.notes["memory"] == str(plan)
        assert list(other.state_dict()) == list(net.state_dict())
    assert plan.runs == ()


@pytest.mark.parametrize("seeded", [random.Random, numpy.random.default_rng])
def test_layers_that_draw_from_generators_of_numpy_and_python_of_their_own(seeded):
    def trained(**memory):
        torch.manual_seed(3)
        net = Chain(Dense(3, 8), Draws(seeded(1)), Rectify(), Dense(8, 8), Draws(seeded(2)), Rectify(), Dense(8, 2))
        optimizer = SGD(net.param(), lr=0.1)
        training = fit(net, SquaredError(), optimizer, table(), epochs=2, batch_size=8, quiet=True, **memory)
        return net.state_dict(), training.notes

    expected, _ = trained()
    found, notes = trained(memory=320)
    assert "are computed again" in notes["memory"]
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_layers_run_twice_and_no_more():
    net = network()
    calls, x = net.layers[4], torch.randn(8, 3)
    layers = measure(net, x).layers
    again = Recompute(net, [[(layer.path, layer.module) for layer in layers[4:8]]])
    assert calls in [layer.module for layer in layers[4:8]]
    calls.count = 0
    with intercept(again.watched, again.around):
        y, saved = net.forward(x)
        assert calls.count == 1
        net.backward(torch.randn_like(y), saved)
    assert calls.count == 2


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_the_peak_is_what_was_planned(share):
    live = Live()
    sizes = [4000, 400, 8000, 800, 1200, 6000, 400, 2000]
    net = Chain(*(Saves(live, size) for size in sizes))
    x, target = torch.randn(1), torch.randn(1)
    measured = measure(net, x)
    least, most = least_bytes(measured), peak_of(measured, ())
    budget = int(least + share * (most - least))
    take = MemoryStep(step, budget)
    plan = take.prepare(net, x)
    live.most = 0
    with torch.inference_mode():
        take(net, SquaredError(), SGD(net.param(), lr=0.01), x, target)
    assert live.now == 0
    small = 8 * 4  # the numbers between the layers
    assert plan.peak - small <= live.most <= plan.peak <= budget


@pytest.mark.parametrize("runs", [[(0, 1)], [(0, 2)], [(1, 2)], [(2, 4)], [(0, 2), (2, 4)], [(3, 4)]])
def test_any_runs_of_a_model_with_a_forward_of_its_own(runs):
    torch.manual_seed(1)
    live = Live()
    net = Own(Saves(live, 40), Saves(live, 80), Chain(Saves(live, 120), Rectify()))
    x, d_y = torch.randn(5), torch.randn(5)
    y, saved = net.forward(x)
    d_x = net.backward(d_y, saved)
    grads = [parameter.grad for parameter in net.param()]
    net.zero_grad()
    layers = measure(net, x).layers
    again = Recompute(net, [[(layer.path, layer.module) for layer in layers[begin:end]] for begin, end in runs])
    with intercept(again.watched, again.around):
        other_y, other_saved = net.forward(x)
        _, saved_too = net.forward(2 * x)  # a second forward in flight
        other_d_x = net.backward(d_y, other_saved)
        assert torch.equal(other_y, y)
        assert torch.equal(other_d_x, d_x)
        for parameter, grad in zip(net.param(), grads, strict=True):
            assert torch.equal(parameter.grad, grad)
        net.backward(d_y, saved_too)


def test_a_budget_that_is_too_small_is_refused_before_training_and_says_the_least():
    net, least = network(), budgets()[0]
    before = {name: value.clone() for name, value in net.state_dict().items()}

    def train(memory):
        optimizer = SGD(net.param(), lr=0.1)
        return fit(net, SquaredError(), optimizer, table(), epochs=1, batch_size=8, memory=memory, quiet=True)

    text = rf"memory: must be at least {least} bytes, which the first batch needs .*, got {least - 1}; use smaller"
    with pytest.raises(ArgumentError, match=text):
        train(least - 1)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    train(least)


def test_it_is_said_in_a_line(capsys):
    net = network()
    fit(net, SquaredError(), SGD(net.param(), lr=0.1), table(), epochs=1, batch_size=8, memory=budgets()[0])
    assert "memory: of 9 layers, " in capsys.readouterr().err


def test_another_net_is_measured_anew():
    take = MemoryStep(step, "1 MiB")
    for net in (Chain(Dense(3, 2)), Chain(Dense(3, 4), Rectify(), Dense(4, 2))):
        with torch.inference_mode():
            take(net, SquaredError(), SGD(net.param(), lr=0.1), torch.randn(4, 3), torch.randn(4, 2))
        assert take.plan.layers == len(net)


def test_an_error_names_the_layer():
    net = Chain(Dense(3, 4), Dense(5, 2))
    with pytest.raises(ValueError, match="must be 5") as caught:
        MemoryStep(step, "1 MiB").prepare(net, torch.randn(4, 3))
    assert "in layer '1' (Dense)" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"engine": "auto"}, "memory: must be left out with an engine that compiles steps \\(Auto\\)"),
        ({"engine": "compiled"}, "memory: must be left out with an engine that compiles steps \\(Compiled\\)"),
        ({"precision": "bfloat16"}, "memory: must be left out with precision = 'bfloat16', whose layers"),
        ({"clip_sample_norm": 1.0}, "memory: must be left out with clip_sample_norm = 1.0, which"),
        ({"step": step}, "memory: must be left out with a step of your own \\(step\\), which"),
        ({"memory": "much"}, "memory: must be a size of memory above 0"),
    ],
)
def test_what_does_not_go_together_is_refused(options, text):
    net = network()
    with pytest.raises(ArgumentError, match=text):
        fit(
            net,
            SquaredError(),
            SGD(net.param(), lr=0.1),
            table(),
            epochs=1,
            **{"batch_size": 8, "memory": "1 MiB", "quiet": True, **options},
        )
