"""The metrics of classification and regression."""

import doctest
import importlib
import math

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Line, SquaredError, Table

from mytorch.core import Metric, ShapeError
from mytorch.train import Accuracy, ErrorRate, ExactMatch, MeanAbsoluteError, evaluate, fit

SCORES = torch.tensor([[0.1, 0.7, 0.2], [2.0, -1.0, 0.0], [0.0, 0.0, 1.0], [0.3, 0.2, 0.1]])


def judged(metric, *batches):
    metric.reset()
    for prediction, target in batches:
        metric.update(prediction, target)
    return metric.compute()


@pytest.mark.parametrize("target", [torch.tensor([1, 0, 1, 0]), torch.eye(3)[torch.tensor([1, 0, 1, 0])]])
def test_scores_of_several_classes(target):
    assert judged(Accuracy(), (SCORES, target)) == 0.75
    assert judged(ErrorRate(), (SCORES, target)) == 0.25


@pytest.mark.parametrize("shape", [(4, 1), (4,)])
@pytest.mark.parametrize("integers", [True, False])
def test_logits_of_two_classes(shape, integers):
    prediction = torch.tensor([-0.1, 0.2, 0.3, -4.0]).reshape(shape)
    target = torch.tensor([0.0, 1.0, 0.0, 0.0])
    target = target.long() if integers else target.reshape(shape)
    assert judged(Accuracy(), (prediction, target)) == 0.75


def test_a_single_row():
    assert judged(Accuracy(), (torch.tensor([[0.4]]), torch.tensor([[1.0]]))) == 1.0
    assert judged(Accuracy(), (SCORES[:1], torch.tensor([1]))) == 1.0


def test_batches_of_different_size_count_by_their_rows():
    batches = [(SCORES[:3], torch.tensor([0, 1, 0])), (SCORES[3:], torch.tensor([0]))]
    assert judged(Accuracy(), *batches) == 0.25
    assert (
        judged(MeanAbsoluteError(), (torch.zeros(3, 1), torch.ones(3, 1)), (torch.zeros(1, 1), 5 * torch.ones(1, 1)))
        == 2.0
    )


def test_an_error_rate_is_exact():
    scores = torch.eye(2)[[0] * 98 + [1] * 2]
    assert judged(ErrorRate(), (scores, torch.zeros(100, dtype=torch.long))) == 0.02


def test_sequences_of_scores():
    scores = SCORES.reshape(2, 2, 3).transpose(1, 2)  # (batch, classes, length), as the loss takes them
    wanted = torch.tensor([[1, 0], [1, 0]])
    assert judged(Accuracy(), (scores, wanted)) == 0.75
    assert judged(Accuracy(), (scores, torch.eye(3)[wanted].transpose(1, 2))) == 0.75


def test_as_many_places_as_classes():
    scores = torch.zeros(4, 3, 3)
    scores[:, 1] = 5
    assert judged(Accuracy(), (scores, torch.ones(4, 3).long())) == 1.0


@pytest.mark.parametrize("metric", [Accuracy(), ErrorRate(), MeanAbsoluteError()])
def test_nothing_seen_is_nan(metric):
    assert math.isnan(judged(metric))


def test_a_target_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"Accuracy: targets must be one class a row, \(4,\), got \(3,\)"):
        judged(Accuracy(), (SCORES, torch.tensor([1, 0, 1])))
    with pytest.raises(ShapeError, match=r"MeanAbsoluteError: target must have the shape of the prediction"):
        judged(MeanAbsoluteError(), (torch.zeros(3, 1), torch.zeros(3)))


def test_the_direction_is_known():
    assert Accuracy.higher_is_better
    assert not ErrorRate.higher_is_better
    assert not MeanAbsoluteError.higher_is_better


def test_float32_sums_lose_nothing():
    batches = [(torch.full((1000, 1), 0.1), torch.zeros(1000, 1))] * 50
    assert judged(MeanAbsoluteError(), *batches) == pytest.approx(float(torch.tensor(0.1)), rel=1e-12)


@pytest.mark.parametrize(("outputs", "right"), [("numbers", 1.0), ("scores", 0.5), ("sigmoid", 0.5)])
@pytest.mark.parametrize("shape", [(4,), (4, 1)], ids=str)
def test_one_column_is_read_as_the_loss_says(outputs, right, shape):
    class OfOutputs(SquaredError):
        pass

    OfOutputs.outputs = outputs
    near = torch.tensor([0.1, 0.9, 0.4, 0.8]).reshape(shape)
    data = Table(near, torch.tensor([0.0, 1.0, 0.0, 1.0]).reshape(shape))
    assert evaluate(Chain(), OfOutputs(), data, [Accuracy()])["accuracy"] == right


def test_a_training_tells_its_metrics_how_predictions_are_read():
    class Asking(Metric):
        def __init__(self):
            self.told = []

        def reset(self):
            self.told.append(self.outputs)

        def update(self, prediction, target):
            pass

        def compute(self):
            return 0.0

    net, metric = Chain(Dense(1, 1)), Asking()
    fit(net, SquaredError(), SGD(net.param()), Line(4), epochs=1, batch_size=2, metrics=[metric], quiet=True)
    assert metric.told == ["numbers"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ignore_index", [-100, 1])
def test_padding_does_not_count(seed, ignore_index):
    generator = torch.Generator().manual_seed(seed)
    batches, right, steps, whole, rows = [], 0, 0, 0, 0
    for length in (5, 3, 1):
        scores = torch.randn(6, 3, length, generator=generator)
        wanted = torch.where(torch.rand(6, length, generator=generator) < 0.8, scores.argmax(1), 2)
        wanted[torch.rand(6, length, generator=generator) < 0.3] = ignore_index
        batches.append((scores, wanted))
        for row, target in zip(scores.argmax(1).tolist(), wanted.tolist(), strict=True):
            pairs = [(one, other) for one, other in zip(row, target, strict=True) if other != ignore_index]
            right, steps = right + sum(one == other for one, other in pairs), steps + len(pairs)
            whole, rows = whole + (bool(pairs) and all(one == other for one, other in pairs)), rows + bool(pairs)
    assert judged(Accuracy(ignore_index=ignore_index), *batches) == right / steps
    assert judged(ErrorRate(ignore_index=ignore_index), *batches) == (steps - right) / steps
    assert judged(ExactMatch(ignore_index=ignore_index), *batches) == whole / rows
    assert math.isnan(judged(Accuracy(), (torch.randn(2, 3), torch.tensor([-100, -100]))))
    with pytest.raises(ValueError, match="ExactMatch: ignore_index must be a whole number"):
        ExactMatch(ignore_index=0.5)


@pytest.mark.parametrize("name", ["metrics", "multilabel"])
def test_the_examples_hold(name):
    result = doctest.testmod(importlib.import_module(f"mytorch.train.metrics.{name}"))
    assert result.attempted > 3
    assert not result.failed


@pytest.mark.parametrize("cls", [Accuracy, ErrorRate, ExactMatch])
def test_no_batch_waits_for_the_device(cls):
    """A number that Python reads from a tensor would be waited for; of the meta device there is none to read."""
    metric = cls()
    metric.update(torch.empty(4, 3, 5, device="meta"), torch.empty(4, 5, dtype=torch.int64, device="meta"))
    assert metric.right.device.type == metric.rows.device.type == "meta"
