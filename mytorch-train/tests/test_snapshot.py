"""All that a training step changes, so that it can be put back."""

import torch
from toy_parts import SGD, Dense, Line, SquaredError

from mytorch.train import Batches
from mytorch.train.setup import Setup
from mytorch.train.snapshot import Snapshot


def state_of(net, optimizer):
    values = {name: value.clone() for name, value in net.state_dict().items()}
    momenta = [held["momentum_buffer"].clone() for held in optimizer.state_dict()["state"].values()]
    return values, momenta, torch.get_rng_state(), optimizer.param_groups[0]["lr"]


def train(net, optimizer):
    for parameter in net.param():
        parameter.grad = torch.randn_like(parameter.value)
    optimizer.step()
    optimizer.param_groups[0]["lr"] /= 2


def replace_momentum(net, optimizer):
    for parameter in net.param():
        optimizer.state[parameter]["momentum_buffer"] = torch.randn_like(parameter.value)


def lower_rate(_net, optimizer):
    optimizer.param_groups[0]["lr"] /= 3


def forget(net, optimizer):
    del optimizer.state[next(iter(net.param()))]


def test_the_last_moment_comes_back_each_time():
    torch.manual_seed(0)
    net = Dense(3, 2)
    optimizer = SGD(net.param(), 0.1, momentum=0.5)
    snapshot = Snapshot(Setup(net, SquaredError(), optimizer, Batches(Line(4), 2)))
    for change in (train, train, lambda net, _: net.to(torch.float64), train, replace_momentum, lower_rate, forget):
        snapshot.take()
        before = state_of(net, optimizer)
        for _ in range(2):
            change(net, optimizer)
            train(net, optimizer)
            snapshot.restore()
            torch.testing.assert_close(state_of(net, optimizer), before, rtol=0, atol=0, check_dtype=False)
            assert all(parameter.grad is None for parameter in net.param())
        change(net, optimizer)
