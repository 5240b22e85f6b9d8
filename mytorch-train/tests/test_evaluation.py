"""Judging a model on a data set."""

import math

import pytest
import torch
from torch.utils.data import DataLoader
from toy_parts import Both, Chain, Dense, Noise, Rows, SquaredError, Table, network

from mytorch.core import ArgumentError, Metric, ShapeError
from mytorch.train import ErrorRate, MeanAbsoluteError, evaluate
from mytorch.train.evaluation import metric_name


def regression(rows=7):
    return Table(torch.randn(rows, 2), torch.randn(rows, 2))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("batch_size", [3, 7, 100])
def test_the_loss_is_the_mean_a_row_whatever_the_batches(reduction, batch_size):
    net, data = network(), regression()
    result = evaluate(net, SquaredError(reduction), data, batch_size=batch_size)
    squares = (net(data.inputs) - data.targets).square()
    expected = squares.mean() if reduction == "mean" else squares.sum() / 7
    assert result == {"loss": pytest.approx(float(expected), rel=1e-6)}


def test_metrics_stand_under_their_names():
    result = evaluate(network(), SquaredError(), regression(), [MeanAbsoluteError()], batch_size=2)
    assert list(result) == ["loss", "mean_absolute_error"]
    assert metric_name(ErrorRate()) == "error_rate"


def test_metrics_alone_and_the_metrics_are_reset():
    net, data, metric = network(), regression(), MeanAbsoluteError()
    expected = float((net(data.inputs) - data.targets).abs().mean())
    for _ in range(2):
        assert evaluate(net, None, data, [metric]) == {"mean_absolute_error": pytest.approx(expected, rel=1e-6)}


def test_it_runs_in_evaluation_mode_and_puts_each_mode_back():
    noise = Noise()
    net = Chain(network(), noise).train()
    net.layers[0].eval()
    modes = [module.training for module in net.modules()]
    results = [evaluate(net, SquaredError(), regression(0) if False else Table(torch.ones(4, 2), torch.ones(4, 2)))]
    assert results[0]["loss"] == evaluate(net, SquaredError(), Table(torch.ones(4, 2), torch.ones(4, 2)))["loss"]
    assert int(noise.seen.value) == 0
    assert [module.training for module in net.modules()] == modes


class Failing(Metric):
    def __init__(self, where):
        self.where = where

    def reset(self):
        assert self.where != "reset"

    def update(self, prediction, target):
        assert self.where != "update"


@pytest.mark.parametrize("where", ["reset", "update"])
def test_the_mode_is_put_back_after_an_error(where):
    net = network()
    with pytest.raises(AssertionError):
        evaluate(net, None, regression(), [Failing(where)])
    assert all(module.training for module in net.modules())


def test_several_inputs_and_a_loader():
    net = Both(Dense(2, 1), Dense(3, 1))
    data = Table((torch.randn(5, 2), torch.randn(5, 3)), torch.randn(5, 1))
    expected = evaluate(net, SquaredError(), data)
    assert evaluate(net, SquaredError(), DataLoader(Rows(data), batch_size=2)) == pytest.approx(expected)


def test_an_empty_data_set_gives_nan():
    assert math.isnan(evaluate(network(), SquaredError(), regression(0))["loss"])


def test_an_error_names_the_path_to_the_layer():
    with pytest.raises(ShapeError) as info:
        evaluate(Chain(Dense(2, 2), Dense(5, 1)), SquaredError(), regression())
    assert info.value.__notes__ == ["in layer '1' (Dense) of Chain"]


def test_a_loss_that_is_no_number_is_refused():
    with pytest.raises(
        ArgumentError, match=r"SquaredError: the value to judge by must be one number, got a tensor of"
    ):
        evaluate(network(), SquaredError("none"), regression())


def test_it_runs_without_autograd(no_autograd):
    data = regression()
    assert evaluate(network(), SquaredError(), data)["loss"] > 0
