"""Judging a model on a data set."""

import math

import pytest
import torch
from torch.utils.data import DataLoader
from toy_parts import Both, Chain, Dense, Noise, Rows, SquaredError, Table, network

from mytorch.core import ArgumentError, Loss, Metric, Module, ShapeError
from mytorch.train import MeanAbsoluteError, evaluate


def regression(rows=7):
    return Table(torch.randn(rows, 2), torch.randn(rows, 2))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("batch_size", [3, 7, 100])
def test_the_loss_is_the_mean_whatever_the_batches(reduction, batch_size):
    net, data = network(), regression()
    result = evaluate(net, SquaredError(reduction), data, batch_size=batch_size)
    expected = (net(data.inputs) - data.targets).square().mean()
    assert result == {"loss": pytest.approx(float(expected), rel=1e-6)}


class Important(Loss):
    """The squared error, in which each row counts as much as its first target says; a mean of nothing is NaN."""

    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def forward(self, prediction, target):
        total = (self.weights(target) * (prediction - target).square()).sum()
        return total / self.weight_of(prediction, target) if self.reduction == "mean" else total, None

    def weight_of(self, prediction, target):
        return self.weights(target).sum()

    def weights(self, target):
        return target[:, :1].round().clamp(0)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_rows_that_count_for_more_or_for_nothing(reduction, batch_size):
    net, data = network(), regression()
    data.targets[:, 0] = torch.tensor([0.0, -1.0, 3.0, 1.0, 0.0, 2.0, 0.0])
    expected = float(Important()(net(data.inputs), data.targets))
    assert evaluate(net, Important(reduction), data, batch_size=batch_size)["loss"] == pytest.approx(expected)


def test_a_set_in_which_nothing_counts_has_no_mean():
    data = Table(torch.randn(4, 2), torch.zeros(4, 2))
    assert math.isnan(evaluate(network(), Important(), data, batch_size=2)["loss"])


class Plain(Module):
    """A loss that does not say that it is one, of which rows count."""

    def forward(self, prediction, target):
        return (prediction - target).square().mean(), None


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_of_a_module_that_is_no_loss_rows_count(batch_size):
    net, data = network(), regression()
    expected = evaluate(net, SquaredError(), data)
    assert evaluate(net, Plain(), data, batch_size=batch_size) == {"loss": pytest.approx(expected["loss"])}


@pytest.mark.parametrize("weight", [-1, math.nan, math.inf, torch.tensor(-0.5)])
def test_a_weight_that_is_none_is_refused_by_name(weight):
    class Odd(SquaredError):
        def weight_of(self, prediction, target):
            return weight

    with pytest.raises(ArgumentError, match="Odd: weight_of must return a number of at least 0, got "):
        evaluate(network(), Odd(), regression())


class Largest:
    """A metric that knows nothing of this project."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def reset(self):
        self.value = torch.tensor(0.0)

    def update(self, prediction, target):
        self.value = torch.maximum(self.value, self.scale * (prediction - target).abs().max())

    def compute(self):
        return self.value


def test_a_metric_need_not_be_one_of_ours_and_two_of_a_class_stand_side_by_side():
    net, data, thrice = network(), regression(), Largest(3.0)
    thrice.name = "largest_thrice"
    result = evaluate(net, None, data, [Largest(), thrice], batch_size=2)
    largest = float((net(data.inputs) - data.targets).abs().max())
    assert result == {"largest": pytest.approx(largest), "largest_thrice": pytest.approx(3 * largest)}


@pytest.mark.parametrize(
    ("value", "got"), [(torch.zeros(3), r"a tensor of \(3,\)"), (None, "a NoneType"), ([1.0], "a list")]
)
def test_a_metric_that_is_no_number_is_refused(value, got):
    class Several(Largest):
        def compute(self):
            return value

    with pytest.raises(ArgumentError, match=f"Several: compute must return one number, got {got}"):
        evaluate(network(), None, regression(), [Several()])


def test_metrics_stand_under_their_names():
    result = evaluate(network(), SquaredError(), regression(), [MeanAbsoluteError()], batch_size=2)
    assert list(result) == ["loss", "mean_absolute_error"]


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ([3], "a metric must be an object with reset, update and compute, got an int"),
        ([MeanAbsoluteError], "a metric must be an object with .*, got the class MeanAbsoluteError"),
        (MeanAbsoluteError(), r"metrics must be a list, got a MeanAbsoluteError; write \[\.\.\.\]"),
        (
            [MeanAbsoluteError(), MeanAbsoluteError()],
            "metrics must have different names, got mean_absolute_error twice; give one of them another `name`",
        ),
    ],
)
def test_metrics_of_one_name_and_what_is_none_are_refused(metrics, text):
    with pytest.raises(ArgumentError, match=f"^evaluate: {text}$"):
        evaluate(network(), SquaredError(), regression(), metrics)


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


def test_a_loss_of_three_inputs_is_refused():
    class Triplet(SquaredError):
        def forward(self, anchor, positive, negative):
            raise NotImplementedError

    with pytest.raises(ArgumentError, match=r"^Triplet: forward must take a prediction and a target"):
        evaluate(network(), Triplet(), [(torch.ones(2), torch.ones(1))])


@pytest.mark.parametrize(
    ("net", "got"), [(None, "None"), (3, "builtins.int"), (Dense, "the class Dense; write Dense")]
)
def test_what_is_no_model_is_refused(net, got):
    with pytest.raises(ArgumentError, match=rf"^evaluate: net must be a Module of mytorch, got {got}"):
        evaluate(net, SquaredError(), regression())


def test_a_net_that_switches_its_mode_in_a_way_of_its_own_is_asked_to() -> None:
    seen = []

    class Switched(Chain):
        def train(self, mode: bool = True) -> "Switched":
            seen.append(mode)
            super().train(mode)
            return self

    net = Switched(Dense(2, 1), Noise())
    evaluate(net, SquaredError(), Table(torch.randn(3, 2), torch.randn(3, 1)))
    assert seen == [False]
    assert all(module.training for module in net.modules())
