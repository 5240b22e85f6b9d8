"""Every epoch counts on: to train again goes on where the last training with the same optimizer stopped."""

import gc
import weakref

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Noise, Ramp, SquaredError, StepLR, Table, network

from mytorch.core import Module, Parameter
from mytorch.core.parameter import Buffer
from mytorch.plugins import Callback, StopTraining
from mytorch.train import MeanAbsoluteError, fit
from mytorch.train.position import _positions, position_of


class Standardise(Module):
    """y = gain * (x - mean), with the mean of all batches seen so far: a buffer that each forward changes."""

    def __init__(self, columns):
        self.gain, self.mean = Parameter(torch.ones(columns)), Buffer(torch.zeros(columns))

    def forward(self, x):
        if self.training:
            self.mean.value.mul_(0.9).add_(0.1 * x.mean(0))
        centred = x - self.mean.value
        return self.gain.value * centred, centred

    def backward(self, d_y, centred):
        self.gain.accumulate((d_y * centred).sum(0))
        return d_y * self.gain.value


def begin(schedule=None, momentum=0.9):
    torch.manual_seed(3)
    net = Chain(Dense(2, 4), Standardise(4), Noise(), Dense(4, 2))
    optimizer = SGD(net.param(), 0.05, momentum=momentum)
    return net, optimizer, None if schedule is None else schedule(optimizer)


def table(rows=10):
    generator = torch.Generator().manual_seed(8)
    return Table(*(torch.randn(rows, 2, generator=generator) for _ in range(2)))


def train(net, optimizer, epochs, schedule=None, **options):
    given = {"batch_size": 4, "quiet": True, "schedule": schedule, "metrics": [MeanAbsoluteError()]} | options
    history = fit(net, SquaredError(), optimizer, table(), epochs=epochs, validation=table(6), **given).history
    return [{name: value for name, value in record.items() if name != "seconds"} for record in history]


@pytest.mark.parametrize(
    "schedule", [None, lambda one: StepLR(one, 2), lambda one: Ramp(one, 40)], ids=["none", "by epoch", "by batch"]
)
@pytest.mark.parametrize("calls", [(1, 1, 1, 1, 1), (2, 3), (4, 0, 1)])
def test_epochs_one_by_one_are_the_same_to_the_bit(schedule, calls):
    whole, others = begin(schedule), begin(schedule)
    expected = train(*whole[:2], 5, whole[2])
    torch.manual_seed(3)
    others = begin(schedule)
    found = [record for epochs in calls for record in train(*others[:2], epochs, others[2])]
    assert [record["epoch"] for record in found] == [1, 2, 3, 4, 5]
    assert found == expected
    torch.testing.assert_close(others[0].state_dict(), whole[0].state_dict(), rtol=0, atol=0)
    held, expected = others[1].state_dict()["state"], whole[1].state_dict()["state"]
    torch.testing.assert_close(held, expected, rtol=0, atol=0)


class Order(Callback):
    """The rows of the first batch of each epoch, as the layer sees them."""

    def __init__(self):
        self.epochs, self.seen = [], []

    def batch_ended(self, run, epoch, batch):
        if batch == 1:
            self.epochs.append(epoch)
            self.seen.append(run.net.layers[0].seen)


class Look(Dense):
    """Keeps its first input column in view."""

    def forward(self, x):
        self.seen = x[:, 0].tolist()
        return super().forward(x)


def orders(*calls, optimizer=None, net=None):
    net = net or Chain(Look(2, 2))
    optimizer, order = optimizer or SGD(net.param()), Order()
    for options in calls:
        fit(
            net,
            SquaredError(),
            optimizer,
            table(),
            **{"epochs": 1, "batch_size": 4, "quiet": True} | options,
            callbacks=[order],
        )
    return order


def test_the_order_of_the_batches_goes_on_and_a_new_optimizer_begins_anew():
    twice, whole = orders({}, {}), orders({"epochs": 2})
    assert twice.seen == whole.seen
    assert twice.seen[0] != twice.seen[1]
    net = Chain(Look(2, 2))
    first, second = (orders({}, net=net, optimizer=SGD(net.param())) for _ in range(2))
    assert first.seen == second.seen == whole.seen[:1]
    assert second.epochs == [1]


def test_another_seed_draws_an_order_of_its_own_and_epochs_are_numbered_on():
    fresh, changed = orders({"seed": 5, "epochs": 2}), orders({}, {"seed": 5}, {"seed": 5})
    assert changed.seen[1:] == fresh.seen
    assert changed.epochs == [1, 2, 3]


def test_evaluation_keeps_its_rhythm():
    net, optimizer, _ = begin()
    found = [
        record["epoch"]
        for _ in range(3)
        for record in train(net, optimizer, 1, evaluate_every=2)
        if "validation_loss" in record
    ]
    assert found == [1, 2, 3]  # each call ends with one
    found = [record["epoch"] for record in train(net, optimizer, 4, evaluate_every=3) if "validation_loss" in record]
    assert found == [6, 7]


def test_an_epoch_that_was_broken_off_is_taken_again_under_its_number():
    class Breaks(Order):
        must_succeed = True

        def batch_ended(self, run, epoch, batch):
            super().batch_ended(run, epoch, batch)
            if epoch == 2 and batch == 2 and len(self.epochs) == 2:
                raise KeyboardInterrupt

    net = Chain(Look(2, 2))
    optimizer, order = SGD(net.param()), Breaks()
    given = {"epochs": 3, "batch_size": 4, "quiet": True, "callbacks": [order]}
    with pytest.raises(KeyboardInterrupt):
        fit(net, SquaredError(), optimizer, table(), **given)
    training = fit(net, SquaredError(), optimizer, table(), **given)
    assert order.epochs == [1, 2, 2, 3, 4]
    assert order.seen[1] == order.seen[2]
    assert [record["epoch"] for record in training.history] == [2, 3, 4]


def test_an_epoch_that_a_callback_ended_early_counts():
    class Stops(Callback):
        def batch_ended(self):
            raise StopTraining

    net, optimizer, _ = begin()
    train(net, optimizer, 3, callbacks=[Stops()])
    assert [record["epoch"] for record in train(net, optimizer, 1)] == [2]


def test_the_position_goes_with_the_optimizer():
    net = network()
    optimizer = SGD(net.param())
    fit(net, SquaredError(), optimizer, table(), epochs=2, batch_size=4, quiet=True)
    assert position_of(optimizer).epoch == 2
    assert position_of(SGD(net.param())).epoch == 0
    alive, before = weakref.ref(optimizer), len(_positions)
    del optimizer
    gc.collect()
    assert alive() is None
    assert len(_positions) < before
