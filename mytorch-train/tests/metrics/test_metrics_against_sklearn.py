"""Every metric against scikit-learn: random predictions in batches of uneven size, and the odd cases."""

import math
import warnings

import numpy as np
import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.train import (
    F1,
    R2,
    ROCAUC,
    Accuracy,
    BalancedAccuracy,
    ErrorRate,
    IoU,
    MeanAbsoluteError,
    MeanSquaredError,
    Precision,
    Recall,
)

judge = pytest.importorskip("sklearn.metrics", reason="scikit-learn is in requirements-test.txt")

SIZES = [(1, 2), (2, 2), (97, 2), (400, 2), (3, 3), (97, 5), (400, 11)]
METRICS = (F1, R2, ROCAUC, Accuracy, BalancedAccuracy, ErrorRate, MeanAbsoluteError, MeanSquaredError)


def judged(metric, prediction, target):
    """The metric over batches of uneven size, each metric used a second time."""
    metric.update(prediction, target)
    metric.reset()
    at, size = 0, 1
    while at < len(target):
        metric.update(prediction[at : at + size], target[at : at + size])
        at, size = at + size, 2 * size + 1
    return metric.compute()


def drawn(rows, classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = 3 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return scores, torch.randint(classes, (rows,), generator=generator)


def forms(scores, target):
    """The same predictions and targets in every form that a metric takes."""
    classes = scores.shape[1]
    one_hot = torch.eye(classes, dtype=torch.float64)[target]
    yield scores, target
    yield scores, one_hot
    yield scores, 0.8 * one_hot + 0.2 / classes
    if classes == 2:
        logits = scores[:, 1] - scores[:, 0]
        yield logits, target
        yield logits, target.double()
        yield logits[:, None], target
        yield logits[:, None], target.double()[:, None]


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the judge, about classes that are absent
        yield


@pytest.mark.parametrize(("rows", "classes"), SIZES)
def test_classes(rows, classes):
    scores, target = drawn(rows, classes)
    predicted, wanted = scores.argmax(1).numpy(), target.numpy()
    binary = {"average": "binary"} if classes == 2 else {"average": "macro"}
    seen = classes > 2 or bool((wanted | predicted).any())
    expected = {
        Accuracy: judge.accuracy_score(wanted, predicted),
        ErrorRate: judge.zero_one_loss(wanted, predicted),
        BalancedAccuracy: judge.balanced_accuracy_score(wanted, predicted),
        F1: judge.f1_score(wanted, predicted, **binary, zero_division=np.nan),
        Precision: judge.precision_score(wanted, predicted, **binary, zero_division=0),
        Recall: judge.recall_score(wanted, predicted, **binary, zero_division=0),
        IoU: judge.jaccard_score(wanted, predicted, **binary) if seen else math.nan,
    }
    for cls, value in expected.items():
        for prediction, given in forms(scores, target):
            assert judged(cls(), prediction, given) == pytest.approx(value, abs=1e-10, nan_ok=True), cls


@pytest.mark.parametrize(("rows", "classes"), [(5, 2), (97, 2), (400, 2), (7, 3), (97, 5), (400, 11), (30, 20)])
@pytest.mark.parametrize("ties", [False, True])
def test_areas(rows, classes, ties):
    scores, target = drawn(rows, classes)
    if ties:
        scores = scores.round()
    shares = scores.softmax(1)
    if classes == 2:
        expected = judge.roc_auc_score(target.numpy(), (scores[:, 1] - scores[:, 0]).numpy())
    elif len(target.unique()) == classes:
        expected = judge.roc_auc_score(target.numpy(), shares.numpy(), multi_class="ovr")
    else:
        columns = target.unique().tolist()
        expected = np.mean([judge.roc_auc_score(target == column, shares[:, column]) for column in columns])
    for prediction, given in forms(scores, target):
        assert judged(ROCAUC(), prediction, given) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_f1_over_the_classes(average, classes):
    scores, target = drawn(200, classes)
    expected = judge.f1_score(target, scores.argmax(1), average=average)
    assert judged(F1(average), scores, target) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("average", [None, "macro", "weighted"])
def test_iou_counts_the_pixels_of_all_batches_together(average, classes):
    generator = torch.Generator().manual_seed(classes)
    scores = torch.randn(12, classes, 5, 7, generator=generator)
    target = torch.randint(classes, (12, 5, 7), generator=generator)
    target[3:] = 0  # few pixels are of another class, and in some batches none
    kind = average or ("binary" if classes == 2 else "macro")
    expected = judge.jaccard_score(target.flatten().numpy(), scores.argmax(1).flatten().numpy(), average=kind)
    metric = IoU(average)
    for batch in range(0, 12, 5):
        metric.update(scores[batch : batch + 5], target[batch : batch + 5])
    assert metric.compute() == pytest.approx(expected, abs=1e-10)
    assert (metric.name, IoU.name) == ("iou", "iou")


def test_iou_of_what_does_not_fit():
    with pytest.raises(ArgumentError, match="IoU: average must be one of macro, weighted, got 'micro'"):
        IoU("micro")
    with pytest.raises(ShapeError, match=r"IoU: targets must be one class a row, \(2, 5, 5\), got \(2, 5, 4\)"):
        IoU().update(torch.randn(2, 3, 5, 5), torch.zeros(2, 5, 4, dtype=torch.int64))
    assert math.isnan(IoU().compute())


def test_f1_of_an_average_that_it_does_not_know():
    with pytest.raises(ArgumentError, match="F1: average must be one of macro, weighted, got 'micro'"):
        F1("micro")


def test_a_class_that_no_target_has():
    scores, target = drawn(200, 5)
    target[target == 3] = 1  # still predicted
    predicted = scores.argmax(1)
    assert (predicted == 3).any()
    assert judged(BalancedAccuracy(), scores, target) == pytest.approx(
        judge.balanced_accuracy_score(target, predicted), abs=1e-10
    )
    assert judged(F1(), scores, target) == pytest.approx(judge.f1_score(target, predicted, average="macro"), abs=1e-10)
    shares = scores.softmax(1)
    areas = [judge.roc_auc_score(target == column, shares[:, column]) for column in (0, 1, 2, 4)]
    assert judged(ROCAUC(), scores, target) == pytest.approx(np.mean(areas), abs=1e-10)


def test_a_class_that_is_neither_wanted_nor_predicted():
    scores, target = drawn(200, 5)
    scores[:, 3], target[target == 3] = -1e9, 1
    expected = judge.f1_score(target, scores.argmax(1), average="macro")
    assert judged(F1(), scores, target) == pytest.approx(expected, abs=1e-10)


def test_one_class_only():
    scores = torch.tensor([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]])
    zeros = torch.zeros(3, dtype=torch.long)
    assert judged(BalancedAccuracy(), scores, zeros) == pytest.approx(2 / 3)
    assert judged(F1(), scores, zeros) == 0.0  # one row was taken for class 1, and none was of it
    assert math.isnan(judged(F1(), scores[::2], zeros[::2]))
    assert math.isnan(judged(ROCAUC(), scores, zeros))
    assert math.isnan(judged(ROCAUC(), torch.randn(3, 4), zeros))


def test_large_scores_keep_their_ranks():
    scores, target = drawn(300, 2)
    logits = (scores[:, 1] * 1e6 + 1e7).float()
    expected = judge.roc_auc_score(target, logits.double())
    assert judged(ROCAUC(), logits, target) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("classes", [1, 2, 4])
def test_a_score_that_is_nan_makes_the_area_nan(classes):
    scores = torch.randn(9, classes)
    scores[4, classes - 1] = math.nan
    assert math.isnan(judged(ROCAUC(), scores, torch.arange(9) % max(2, classes)))


def test_sequences():
    scores, target = drawn(60, 4)
    together = scores.reshape(5, 12, 4).transpose(1, 2), target.reshape(5, 12)  # (batch, classes, length)
    for cls in (BalancedAccuracy, F1, ROCAUC):
        assert judged(cls(), *together) == pytest.approx(judged(cls(), scores, target), abs=1e-12)


def test_integer_predictions_are_classes():
    predicted, target = torch.tensor([0, 2, 1, 7]), torch.tensor([0, 2, 2, 7])
    assert judged(BalancedAccuracy(), predicted, target) == pytest.approx((1 + 0.5 + 1) / 3)
    assert judged(F1(), predicted, target) == pytest.approx(judge.f1_score(target, predicted, average="macro"))


@pytest.mark.parametrize("shape", [(200,), (200, 1), (200, 3), (50, 2, 2)])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_numbers(shape, offset):
    generator = torch.Generator().manual_seed(1)
    target = torch.randn(shape, generator=generator, dtype=torch.float64) + offset
    prediction = target + torch.rand(shape, generator=generator, dtype=torch.float64)
    columns = (target.reshape(len(target), -1).numpy(), prediction.reshape(len(target), -1).numpy())
    squared, r2 = judge.mean_squared_error(*columns), judge.r2_score(*columns)
    assert judged(MeanAbsoluteError(), prediction, target) == pytest.approx(
        judge.mean_absolute_error(*columns), abs=1e-9
    )
    assert judged(MeanSquaredError(), prediction, target) == pytest.approx(squared, abs=1e-10)
    assert judged(R2(), prediction, target) == pytest.approx(r2, abs=1e-10 if not offset else 1e-8)


def test_float32_is_judged_as_if_it_were_exact():
    target, prediction = torch.randn(500, 1), torch.randn(500, 1)
    columns = target.double().numpy(), prediction.double().numpy()
    assert judged(R2(), prediction, target) == pytest.approx(judge.r2_score(*columns), abs=1e-10)
    assert judged(MeanSquaredError(), prediction, target) == pytest.approx(
        judge.mean_squared_error(*columns), abs=1e-10
    )


@pytest.mark.parametrize("error", [0.0, 0.5])
def test_constant_targets_have_no_variance_to_explain(error):
    target = torch.full((70, 1), 0.1)
    assert math.isnan(judged(R2(), target + error, target))


def test_the_first_rows_do_not_decide_the_precision():
    target = torch.cat((torch.tensor([1e9]), torch.randn(300)))[:, None].double()
    prediction = target + torch.randn(301, 1).double()
    expected = judge.r2_score(target.numpy(), prediction.numpy())
    assert judged(R2(), prediction, target) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("cls", METRICS)
def test_nothing_seen_is_nan(cls):
    assert math.isnan(cls().compute())


def test_which_direction_is_good():
    assert {cls for cls in METRICS if not cls.higher_is_better} == {ErrorRate, MeanAbsoluteError, MeanSquaredError}


@pytest.mark.parametrize("cls", [F1, BalancedAccuracy, ROCAUC])
def test_one_target_a_row(cls):
    with pytest.raises(ShapeError, match=rf"{cls.__name__}: targets must be one class a row, \(4,\), got \(3,\)"):
        cls().update(torch.randn(4, 3), torch.tensor([0, 1, 2]))


@pytest.mark.parametrize("cls", [R2, MeanSquaredError])
def test_targets_of_the_predictions_shape(cls):
    with pytest.raises(ShapeError, match=f"{cls.__name__}: target must have the shape of the prediction"):
        cls().update(torch.zeros(3, 1), torch.zeros(3))


def test_what_is_no_class_and_no_score():
    with pytest.raises(ArgumentError, match=r"F1: classes must be at least 0, got -100"):
        F1().update(torch.randn(2, 3), torch.tensor([1, -100]))
    with pytest.raises(DtypeError, match=r"ROCAUC: predictions must be scores, floating point, got torch.int64"):
        ROCAUC().update(torch.tensor([1, 0]), torch.tensor([1, 0]))
