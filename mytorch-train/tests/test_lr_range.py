"""The learning-rate range test: what it finds, when it stops, and that it leaves everything as it was."""

import copy
import math

import pytest
import torch
from compiled_runs import table
from toy_parts import SGD, Chain, Dense, Line, Noise, Rectify, SquaredError

from mytorch.core import ArgumentError, Optimizer
from mytorch.train import Batches, LRRange, fit, lr_range_test, step
from mytorch.train.lr_range import range_of
from mytorch.train.rules import DirectFeedbackAlignment, LocalLosses
from mytorch.train.rules.rule_step import RuleStep
from mytorch.train.setup import Setup


def network():
    torch.manual_seed(5)
    return Chain(Dense(3, 8), Rectify(), Noise(), Dense(8, 2)).to(torch.float64)


def test_it_suggests_a_rate_that_trains_well():
    net = network()
    found = lr_range_test(net, SquaredError(), SGD(net.param(), 0.1), table(200), batch_size=20)
    assert found.stopped
    assert 1e-3 < found.suggestion < found.rates[-1] < 10
    rates = torch.tensor(found.rates).log()
    torch.testing.assert_close(rates.diff(), (rates[1] - rates[0]).expand(len(rates) - 1), rtol=1e-3, atol=1e-4)
    assert found.rates[0] == pytest.approx(1e-6)
    losses = []
    for rate in (found.suggestion / 100, found.suggestion):
        net = network()
        run = fit(net, SquaredError(), SGD(net.param(), rate), table(200), epochs=5, batch_size=20, quiet=True)
        losses.append(run.history[-1]["train_loss"])
    assert losses[1] < 0.8 * losses[0]


class Settings(SGD):
    """Notes the rates of its groups at each step."""

    def update(self, values, grads, states, group):
        self.seen = [*getattr(self, "seen", []), group["lr"]]
        super().update(values, grads, states, group)


def test_everything_is_as_it_was_and_groups_keep_their_proportion():
    net = network()
    first, *others = net.param()
    optimizer = Settings([{"params": others}, {"params": [first], "lr": 0.01}], lr=0.1, momentum=0.9)
    data = table(46)
    step(net, SquaredError(), optimizer, *data.batch_at(torch.arange(10)))
    net.layers[0].training = False
    optimizer.seen = []
    before, state = copy.deepcopy(net.state_dict()), copy.deepcopy(optimizer.state_dict())
    random = torch.get_rng_state()
    found = lr_range_test(net, SquaredError(), optimizer, data, batch_size=10, start=1e-5, end=1e-2, steps=20)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    for part in ("state", "param_groups"):
        torch.testing.assert_close(optimizer.state_dict()[part], state[part], rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in net.param())
    assert [layer.training for layer in net.layers] == [False, True, True, True]
    assert len(found.rates) == 20
    assert not found.stopped
    assert optimizer.seen[::2] == pytest.approx(found.rates)
    assert optimizer.seen[1::2] == pytest.approx([rate / 10 for rate in found.rates])
    assert lr_range_test(net, SquaredError(), optimizer, data, batch_size=10, start=1e-5, end=1e-2, steps=20) == found
    step(net, SquaredError(), optimizer, *data.batch_at(torch.arange(10)))


def test_it_takes_the_step_that_is_asked_for():
    found = []
    for options in (
        {"batch_size": 5, "accumulate": 4},
        {"batch_size": 20},
        {"batch_size": 20, "clip_grad_norm": 1e-3},
    ):
        net = Chain(Dense(3, 2)).to(torch.float64)
        net.load_state_dict({"0.weight": torch.ones(2, 3), "0.bias": torch.ones(2)})
        found.append(lr_range_test(net, SquaredError(), SGD(net.param()), table(40), end=0.5, steps=20, **options))
    assert found[0].losses == pytest.approx(found[1].losses)
    assert found[1].losses[-1] != pytest.approx(found[2].losses[-1])


def test_a_loss_that_nowhere_falls_suggests_nothing():
    rates = [10.0**at for at in range(-20, 0)]
    flat, rising = [1.0] * 20, [1.0 + at for at in range(20)]
    for losses in (flat, rising, []):
        assert LRRange(rates[: len(losses)], losses, losses, False).suggestion is None


def test_a_valley_is_left_on_its_falling_side():
    losses = [1.0] * 5 + [0.9, 0.7, 0.4, 0.2, 0.1] + [0.1] * 5 + [3.0, 5.0, 0.2, 0.2, 0.2]
    rates = [10.0**at for at in range(-20, 0)]
    assert LRRange(rates, losses, losses, False).suggestion in rates[5:9]


class Negative(SquaredError):
    def forward(self, prediction, target):
        value, saved = super().forward(prediction, target)
        return value - 5, saved


def test_it_stops_where_the_loss_has_risen_also_of_a_negative_one():
    for loss in (SquaredError(), Negative()):
        net = network()
        found = lr_range_test(net, loss, SGD(net.param()), table(200), batch_size=20, end=1e3)
        assert found.stopped
        assert all(map(math.isfinite, found.losses))
        assert 1e-3 < found.suggestion < 10


class Rateless(Optimizer):
    def __init__(self, params):
        super().__init__(params, {"size": 1.0})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"start": 0.0}, "start and end must be rates above 0, end the larger one, got 0.0 and 10.0"),
        ({"start": 1.0, "end": 0.1}, "start and end must be rates above 0, end the larger one, got 1.0 and 0.1"),
        ({"end": math.inf}, "start and end must be rates above 0, end the larger one, got 1e-06 and inf"),
        ({"steps": 3}, "steps must be a whole number of at least 10, got 3"),
        ({"optimizer": Rateless}, "optimizer must have a setting lr, got Rateless"),
    ],
)
def test_what_is_refused(options, text):
    net = Chain(Dense(1, 1))
    optimizer = options.pop("optimizer", SGD)(net.param())
    with pytest.raises(ArgumentError, match=f"^lr_range_test: {text}"):
        lr_range_test(net, SquaredError(), optimizer, Line(8), batch_size=4, **options)


def test_under_a_learning_rule_it_takes_the_steps_of_the_rule_whose_state_it_puts_back():
    found = []
    for rule in (LocalLosses(), LocalLosses(lr=0.5), DirectFeedbackAlignment()):
        net = network()
        optimizer = SGD(net.param(), 0.1)
        setup = Setup(net, SquaredError(), optimizer, Batches(table(200), 20), None, RuleStep(rule))
        found.append(range_of(setup, 1e-4, 1.0, 20).losses)
        assert rule.state_dict() in ({"heads": []}, {"matrices": []})
        fit(net, SquaredError(), optimizer, table(200), epochs=1, batch_size=20, quiet=True, rule=rule)
    assert found[0] != found[1] != found[2]
