"""LogLoss, TopKAccuracy and the metrics of several labels a row, against scikit-learn, and what they refuse."""

import math

import pytest
import torch

from mytorch.core import ArgumentError, ShapeError
from mytorch.train import (
    F1,
    ROCAUC,
    Accuracy,
    BalancedAccuracy,
    ErrorRate,
    ExactMatch,
    HammingLoss,
    LogLoss,
    MultilabelF1,
    Precision,
    Recall,
    TopKAccuracy,
)

judge = pytest.importorskip("sklearn.metrics", reason="scikit-learn is in requirements-test.txt")
OF_CLASSES = (Accuracy, ErrorRate, BalancedAccuracy, F1, Precision, Recall, ROCAUC, LogLoss)


def judged(metric, prediction, target, outputs="softmax"):
    metric.outputs = outputs
    metric.update(prediction, target)
    metric.reset()
    for rows in torch.arange(len(target)).split(7):
        metric.update(prediction[rows], target[rows])
    return metric.compute()


def drawn(rows=50, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(rows, classes, generator=generator), torch.randint(classes, (rows,), generator=generator)


@pytest.mark.parametrize("classes", [2, 4])
def test_log_loss_of_scores(classes):
    scores, target = drawn(classes=classes)
    shares = scores.double().softmax(1)
    expected = judge.log_loss(target, shares / shares.sum(1, keepdim=True), labels=range(classes))
    assert judged(LogLoss(), scores, target) == pytest.approx(expected, rel=1e-6)
    assert judged(LogLoss(), scores.double().log_softmax(1), target, "log-softmax") == pytest.approx(
        expected, rel=1e-6
    )
    one_hot = torch.eye(classes)[target]
    assert judged(LogLoss(), scores, one_hot) == pytest.approx(expected, rel=1e-6)


def test_log_loss_of_one_logit():
    scores, target = drawn(classes=2)
    logits = scores[:, 1]
    expected = judge.log_loss(target, logits.double().sigmoid())
    for prediction, given in ((logits, target), (logits[:, None], target[:, None].float())):
        assert judged(LogLoss(), prediction, given, "sigmoid") == pytest.approx(expected, rel=1e-6)


def test_log_loss_of_sure_predictions_is_exact():
    assert judged(LogLoss(), torch.tensor([[1000.0, 0.0]]), torch.tensor([1])) == pytest.approx(1000.0)


def test_log_loss_needs_probabilities():
    with pytest.raises(
        ArgumentError, match=r'LogLoss: the loss must give probabilities, .*, got "numbers"; train with'
    ):
        judged(LogLoss(), *drawn(), "numbers")


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k(k):
    scores, target = drawn()
    expected = judge.top_k_accuracy_score(target, scores, k=k, labels=range(4))
    assert judged(TopKAccuracy(k), scores, target) == pytest.approx(expected)


def test_top_k_needs_as_many_classes():
    with pytest.raises(ShapeError, match=r"scores of at least k = 5 classes, \(batch, classes\), got \(50, 4\)"):
        judged(TopKAccuracy(), *drawn())
    with pytest.raises(ArgumentError, match="TopKAccuracy: k must be a whole number of at least 1, got 0"):
        TopKAccuracy(0)


def labels(rows=60, count=5):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(rows, count, generator=generator), (torch.rand(rows, count, generator=generator) < 0.3).float()


def test_labels():
    logits, target = labels()
    predicted, wanted = (logits > 0).numpy(), target.bool().numpy()
    assert judged(ExactMatch(), logits, target, "sigmoid") == pytest.approx(judge.accuracy_score(wanted, predicted))
    assert judged(HammingLoss(), logits, target, "sigmoid") == pytest.approx(judge.hamming_loss(wanted, predicted))
    for average in ("macro", "micro", "samples"):
        expected = judge.f1_score(wanted, predicted, average=average, zero_division=0)
        assert judged(MultilabelF1(average), logits, target, "sigmoid") == pytest.approx(expected), average


@pytest.mark.parametrize("cls", OF_CLASSES)
def test_several_labels_are_refused_by_metrics_of_one_class(cls):
    text = "targets must be one class a row, got a row whose 5 columns add up to .*; ExactMatch, HammingLoss and "
    with pytest.raises(ArgumentError, match=f"^{cls.__name__}: {text}"):
        judged(cls(), *labels(), "sigmoid")


@pytest.mark.parametrize("cls", [ExactMatch, HammingLoss, MultilabelF1])
def test_one_class_a_row_is_refused_by_metrics_of_labels(cls):
    scores, target = drawn()
    with pytest.raises(ArgumentError, match='got a loss of "softmax" outputs'):
        judged(cls(), scores, torch.eye(4)[target])
    with pytest.raises(ArgumentError, match="targets must have several labels per row"):
        judged(cls(), scores[:, 0], target.float(), "sigmoid")
    with pytest.raises(ArgumentError, match=r"targets must be 0 and 1, got 0\.5"):
        judged(cls(), scores, torch.full((50, 4), 0.5), "sigmoid")


@pytest.mark.parametrize("cls", [ExactMatch, HammingLoss, LogLoss, MultilabelF1, TopKAccuracy])
def test_without_rows_the_value_is_nan(cls):
    assert math.isnan(cls().compute())
