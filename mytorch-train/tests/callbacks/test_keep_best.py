"""Keeping the weights of the best epoch."""

import math

import pytest
import torch
from toy_metrics import Praised, Told
from toy_parts import SGD, Chain, Noise, SquaredError, Table, network

from mytorch.core import ArgumentError
from mytorch.plugins import hookimpl
from mytorch.train import KeepBest, fit


class Remember:
    """The weights and buffers after each epoch."""

    def __init__(self, then=None):
        self.states, self.then = [], then

    @hookimpl
    def epoch_ended(self, run, epoch):
        self.states.append({name: value.clone() for name, value in run.net.state_dict().items()})
        if self.then is not None and epoch == 4:
            raise self.then


def train(*values, metric=Told, monitor="train_told", then=None, epochs=5, lr=0.05, callbacks=None, **options):
    net, remember = Chain(network(), Noise()), Remember(then)
    data = Table(torch.randn(20, 2), torch.randn(20, 2))
    callbacks = [KeepBest(monitor)] if callbacks is None else callbacks
    options = {"metrics": [metric(*values)], "callbacks": [remember, *callbacks], "quiet": True} | options
    try:
        training = fit(net, SquaredError(), SGD(net.param(), lr), data, epochs=epochs, batch_size=4, **options)
    except (KeyboardInterrupt, ArithmeticError):
        training = None
    return net, remember.states, training


def same(net, state):
    return all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_the_best_epoch_s_parameters_and_buffers_come_back():
    net, states, training = train(5, 2, 3, 2, 4)  # of equal ones the first
    assert [same(net, state) for state in states] == [False, True, False, False, False]
    assert int(net.layers[1].seen.value) == 10  # two epochs of five batches: a buffer
    assert training.notes == {"best": {"epoch": 2, "monitor": "train_told", "value": 2}}


def test_a_metric_says_which_direction_is_good():
    net, states, _ = train(5, 2, 7, 2, 4, metric=Praised, monitor="train_praised")
    assert same(net, states[2])


def test_only_evaluated_epochs_can_be_the_best():
    net, states, _ = train(5, 7, evaluate_every=3)
    assert same(net, states[2])


def test_without_a_finite_value_the_last_weights_stay():
    net, states, training = train(*[math.nan] * 5)
    assert same(net, states[-1])
    assert training.notes == {}


def test_it_begins_anew_with_each_run():
    callback = KeepBest("train_told")
    for best in (1, 3):
        net, states, _ = train(*(epoch != best for epoch in range(5)), callbacks=[callback])
        assert same(net, states[best])


def test_what_it_gives_back_can_be_trained_on():
    net, _, _ = train(5, 2, 3, 2, 4)
    before = net.state_dict()["0.0.weight"].clone()
    data = Table(torch.randn(20, 2), torch.randn(20, 2))
    fit(net, SquaredError(), SGD(net.param()), data, epochs=1, batch_size=4, quiet=True)
    assert not torch.equal(net.state_dict()["0.0.weight"], before)


def test_a_number_that_the_run_does_not_measure():
    with pytest.raises(
        ArgumentError, match=r"KeepBest: monitor must be one of train_loss, train_told, got 'validation_loss'"
    ):
        train(callbacks=[KeepBest()])
