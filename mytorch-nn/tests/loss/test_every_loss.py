"""What holds for every loss: averages over batches, upstream gradients and saved values."""

import re

import numpy
import pytest
import torch

from mytorch.core import ArgumentError, Loss, ShapeError
from mytorch.nn import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss

IGNORING = {"weight": torch.rand(4, dtype=torch.float64) + 0.5, "ignore_index": 2, "label_smoothing": 0.1}
SEVERAL = {
    "squares": (MSELoss, {}, "same"),
    "questions": (BCEWithLogitsLoss, {}, "same"),
    "weighted questions": (BCEWithLogitsLoss, {"weight": torch.rand(4).double()}, "same"),
    "rare yes": (BCEWithLogitsLoss, {"pos_weight": torch.rand(4).double() + 2}, "same"),
    "classes": (CrossEntropyLoss, {}, "indices"),
    "weighted classes": (CrossEntropyLoss, {"weight": IGNORING["weight"]}, "indices"),
    "ignored classes": (CrossEntropyLoss, {"ignore_index": 1}, "indices"),
    "smoothed classes": (CrossEntropyLoss, {"label_smoothing": 0.2}, "indices"),
    "all of it": (CrossEntropyLoss, IGNORING, "indices"),
    "probabilities": (CrossEntropyLoss, {"label_smoothing": 0.2}, "same"),
    "weighted probabilities": (CrossEntropyLoss, {"weight": IGNORING["weight"]}, "same"),
}
each_loss = pytest.mark.parametrize(("cls", "options", "kind"), SEVERAL.values(), ids=SEVERAL)


def draw(kind, shape=(10, 4, 3)):
    prediction = torch.randn(shape, dtype=torch.float64)
    if kind == "indices":
        return prediction, torch.randint(0, 4, (shape[0], *shape[2:]))
    return prediction, torch.rand(shape, dtype=torch.float64).softmax(1)


def build(cls, options, shape, **more):
    """The loss, with weights of questions for the second axis, as those of classes are."""
    if cls is BCEWithLogitsLoss:
        options = {name: value.reshape(4, *(1,) * (len(shape) - 2)) for name, value in options.items()}
    return cls(**options, **more)


@pytest.mark.parametrize("shape", [(10, 4), (10, 4, 3)], ids=str)
@pytest.mark.parametrize("size", [3, 1, 10, 7])
@each_loss
def test_the_weighted_mean_over_batches_is_the_mean_over_all(cls, options, kind, size, shape):
    loss, (prediction, target) = build(cls, options, shape), draw(kind, shape)
    total = weights = 0.0
    for y, t in zip(prediction.split(size), target.split(size), strict=True):
        weight = float(loss.weight_of(y, t))
        total += float(loss(y, t)) * weight if weight else 0.0
        weights += weight
    assert total / weights == pytest.approx(float(loss(prediction, target)), rel=1e-12)
    assert weights == pytest.approx(float(loss.weight_of(prediction, target)), rel=1e-12)


@each_loss
def test_a_sum_is_its_mean_times_the_weight(cls, options, kind):
    prediction, target = draw(kind)
    mean, summed = (build(cls, options, prediction.shape, reduction=reduction) for reduction in ("mean", "sum"))
    weight = float(summed.weight_of(prediction, target))
    assert float(summed(prediction, target)) / weight == pytest.approx(float(mean(prediction, target)), rel=1e-12)


@pytest.mark.parametrize("target", [torch.tensor(2), torch.rand(4).softmax(0)], ids=["index", "probabilities"])
def test_one_row_without_a_batch_counts_as_one(target):
    assert CrossEntropyLoss().weight_of(torch.randn(4), target) == 1


def test_what_their_predictions_mean():
    assert {cls: cls.outputs for cls in (CrossEntropyLoss, BCEWithLogitsLoss, MSELoss)} == {
        CrossEntropyLoss: "softmax",
        BCEWithLogitsLoss: "sigmoid",
        MSELoss: "numbers",
    }
    assert all(issubclass(cls, Loss) for cls in (CrossEntropyLoss, BCEWithLogitsLoss, MSELoss))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@each_loss
@pytest.mark.parametrize("wrong", [(1,), (1, 1), (3,), (10, 1), (4, 10), (9,), "None", "list"], ids=str)
def test_an_upstream_gradient_of_another_shape(cls, options, kind, reduction, wrong):
    loss, (prediction, target) = build(cls, options, (10, 4), reduction=reduction), draw(kind, (10, 4))
    value, saved = loss.forward(prediction, target)
    d_value = {"None": None, "list": [1.0]}.get(wrong) if isinstance(wrong, str) else torch.randn(wrong).double()
    with pytest.raises(ShapeError) as caught:
        loss.backward(d_value, saved)
    got = {"None": "a NoneType", "list": "a list"}.get(wrong, wrong)
    assert str(caught.value) == (
        f"{cls.__name__}: d_value must be a number, or a tensor with the shape of the value, {tuple(value.shape)}, "
        f"got {got}"
    )


@pytest.mark.parametrize(
    ("loss", "saved", "text"),
    [
        (MSELoss(), (torch.zeros(2), torch.zeros(2)), "a Tensor, as its own forward returned, got a tuple of 2"),
        (MSELoss(), None, "a Tensor, as its own forward returned, got None"),
        (
            CrossEntropyLoss(),
            torch.zeros(2, 2),
            "a tuple of 3 (Tensor, Tensor, torch.Tensor | None), as its own forward returned, got a Tensor",
        ),
        (
            CrossEntropyLoss(),
            (torch.zeros(2), None),
            "a tuple of 3 (Tensor, Tensor, torch.Tensor | None), as its own forward returned, got a tuple",
        ),
        (
            BCEWithLogitsLoss(),
            [torch.zeros(2)] * 2,
            "a tuple of 2 (Tensor, Tensor), as its own forward returned, got a list",
        ),
        (
            BCEWithLogitsLoss(),
            (torch.zeros(2),) * 3,
            "a tuple of 2 (Tensor, Tensor), as its own forward returned, got a tuple",
        ),
    ],
)
def test_a_saved_value_of_another_module(loss, saved, text):
    with pytest.raises(ArgumentError, match=re.escape(f"{type(loss).__name__}: saved must be {text}")):
        loss.backward(1.0, saved)


@pytest.mark.parametrize(
    "loss", [MSELoss(), CrossEntropyLoss(), BCEWithLogitsLoss()], ids=lambda loss: type(loss).__name__
)
@pytest.mark.parametrize("which", ["prediction", "target"])
@pytest.mark.parametrize("wrong", [numpy.zeros((3, 4)), [[1.0]], None, 1.5], ids=["ndarray", "list", "None", "float"])
def test_what_is_no_tensor(loss, which, wrong):
    given = {"prediction": torch.zeros(3, 4), "target": torch.zeros(3, 4)} | {which: wrong}
    with pytest.raises(ArgumentError) as caught:
        loss.forward(**given)
    assert str(caught.value).startswith(f"{type(loss).__name__}: {which} must be a tensor, got ")
