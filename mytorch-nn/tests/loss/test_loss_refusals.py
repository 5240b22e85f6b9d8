"""What the losses refuse, in words."""

import math

import pytest
import torch
from drawn_losses import draw, each_loss

from mytorch import nn
from mytorch.core import ArgumentError, AutogradError, DtypeError, ShapeError


@pytest.mark.parametrize("name", ["NLLLoss", "MultiMarginLoss"])
def test_the_saved_value_of_a_loss_of_other_classes(name):
    (prediction,), (target,) = draw(name, (4, 3))
    _, saved = getattr(nn, name)().forward(prediction, target)
    with pytest.raises(ShapeError, match=rf"^{name}: weight must have one number for each of 3 classes, got \(2,\)"):
        getattr(nn, name)(weight=torch.ones(2)).backward(1.0, saved)


def test_the_saved_value_of_a_loss_that_ignored_what_this_does_not():
    _, saved = nn.NLLLoss(ignore_index=-1).forward(torch.randn(2, 3), torch.tensor([-1, 2]))
    with pytest.raises(ArgumentError, match=r"^NLLLoss: target must be a class between 0 and 2, .* got -1$"):
        nn.NLLLoss().backward(1.0, saved)


@pytest.mark.parametrize("swap", [True, False])
def test_the_saved_value_of_a_triplet_loss_that_swaps_where_this_does_not(swap):
    _, saved = nn.TripletMarginLoss(swap=not swap).forward(*torch.randn(3, 4, 5))
    with pytest.raises(ArgumentError, match=f"^TripletMarginLoss: saved must be that of a layer with swap {swap}, "):
        nn.TripletMarginLoss(swap=swap).backward(1.0, saved)


def test_a_function_is_no_distance():
    with pytest.raises(ArgumentError, match=r"distance_function must be a Module of two inputs, .* got a function"):
        nn.TripletMarginWithDistanceLoss(distance_function=lambda x1, x2: x1)
    with pytest.raises(ArgumentError, match="TripletMarginWithDistanceLoss: margin must be above 0, got 0"):
        nn.TripletMarginWithDistanceLoss(margin=0)
    x = torch.zeros(2, 3)
    with pytest.raises(ShapeError, match=r"negative must have the shape of anchor, \(2, 3\), got \(1, 3\)"):
        nn.TripletMarginWithDistanceLoss().forward(x, x, x[:1])


@each_loss
@pytest.mark.parametrize("wrong", [(1,), (4, 1), (9,), None], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_an_upstream_gradient_of_another_shape(name, reduction, wrong):
    loss = getattr(nn, name)(reduction=reduction)
    predictions, targets = draw(name, (4, 3))
    value, saved = loss.forward(*predictions, *targets)
    with pytest.raises(ShapeError) as error:
        loss.backward(wrong and torch.randn(wrong), saved)
    assert f"{name}: d_value must be a number, or a tensor with the shape of the value, {tuple(value.shape)}" in str(
        error.value
    )


@each_loss
def test_what_no_loss_takes(name):
    loss = getattr(nn, name)()
    predictions, targets = draw(name, (4, 3))
    inputs = [*predictions, *targets]
    with pytest.raises(ArgumentError, match=f"{name}: reduction must be one of mean, sum, none"):
        getattr(nn, name)(reduction="average")
    with pytest.raises(ArgumentError, match=f"{name}: saved must be "):
        loss.backward(1.0, None)
    for place in range(len(inputs)):
        changed = list(inputs)
        changed[place] = inputs[place].tolist()
        with pytest.raises(ArgumentError, match=f"{name}: .* must be a tensor, got a list"):
            loss.forward(*changed)
    for place in range(len(inputs)):
        changed = list(inputs)
        changed[place] = inputs[place][:3]
        with pytest.raises(ShapeError, match=f"{name}: "):
            loss.forward(*changed)
    with pytest.raises(AutogradError, match=f"{name}: .* must not require grad"):
        loss.forward(inputs[0].detach().requires_grad_(), *inputs[1:])
    with pytest.raises(DtypeError, match=f"{name}: .* must be floating point, got torch.int64"):
        loss.forward(inputs[0].long(), *inputs[1:])


X = torch.zeros(2, 3)
ONE, OTHER = torch.ones(2, 3), torch.tensor([[1.0, -1.0, 0.0]] * 2)


@pytest.mark.parametrize(
    ("name", "inputs", "text"),
    [
        (
            "BCELoss",
            (X + 1.5, X),
            "prediction must be between 0 and 1, got 1.5; for scores (logits), use BCEWithLogitsLoss",
        ),
        (
            "BCELoss",
            (X, X - 0.5),
            "target must be between 0 and 1, got -0.5; for scores (logits), use BCEWithLogitsLoss",
        ),
        (
            "BCELoss",
            (X + math.nan, X),
            "prediction must be between 0 and 1, got nan; for scores (logits), use BCEWithLogitsLoss",
        ),
        ("KLDivLoss", (X, X - 0.5), "target must be at least 0, got -0.5"),
        ("PoissonNLLLoss", (X, X - 2), "target must be at least 0, got -2.0"),
        ("GaussianNLLLoss", (X, X - 2, X), "var must be at least 0, got -2.0"),
        (
            "SoftMarginLoss",
            (X, OTHER),
            "target must be 1 or -1, got 0.0; for targets of 0 and 1, write 2 * target",
        ),
        ("SoftMarginLoss", (X, torch.full_like(X, math.nan)), "target must be 1 or -1, got nan"),
        ("HingeEmbeddingLoss", (X, OTHER), "target must be 1 or -1, got 0.0; for targets of 0 and 1, write"),
        ("MarginRankingLoss", (X, X, OTHER), "target must be 1 or -1, got 0.0; for targets of 0 and 1, write"),
        ("CosineEmbeddingLoss", (X, X, torch.tensor([1, 0])), "target must be 1 or -1, got 0.0; for targets of"),
        (
            "NLLLoss",
            (X, torch.tensor([0, 3])),
            "target must be a class between 0 and 2, as the prediction of (2, 3) has, or ignore_index, -100, got 3",
        ),
        (
            "MultiMarginLoss",
            (X, torch.tensor([-1, 2])),
            "target must be a class between 0 and 2, as the prediction of (2, 3) has, got -1",
        ),
        (
            "MultiLabelMarginLoss",
            (X, torch.tensor([[0, -1, 3], [1, 2, -1]])),
            "target must be classes between 0 and 2, or -1 after the labels of a row, got 3",
        ),
    ],
)
def test_targets_out_of_range(name, inputs, text):
    with pytest.raises(ArgumentError) as error:
        getattr(nn, name)().forward(*inputs)
    assert str(error.value).startswith(f"{name}: {text}")


@pytest.mark.parametrize(
    ("name", "inputs", "error", "text"),
    [
        ("NLLLoss", (X, torch.zeros(2)), DtypeError, "target must be int64 class indices, got torch.float32"),
        (
            "NLLLoss",
            (torch.zeros(2, 0), torch.zeros(2).long()),
            ShapeError,
            "prediction must be (batch, classes, ...)",
        ),
        ("MultiMarginLoss", (torch.zeros(2, 3, 4), X), ShapeError, "prediction must have 1 or 2 axes, got 3"),
        ("MultiLabelMarginLoss", (torch.zeros(2, 3, 4), X), ShapeError, "prediction must have 1 or 2 axes, got 3"),
        ("MultiLabelMarginLoss", (X, X), DtypeError, "target must be int64 class indices, got torch.float32"),
        ("MultiLabelMarginLoss", (X, X[:1].long()), ShapeError, "target must have the shape (2, 3), a class index"),
        ("MultiLabelMarginLoss", (X[:, :0], X), ShapeError, "prediction must have at least one class, got (2, 0)"),
        ("MultiMarginLoss", (torch.zeros(2, 0), X), ShapeError, "prediction must have at least one class, got (2, 0)"),
        (
            "MultiLabelSoftMarginLoss",
            (torch.zeros(()), torch.zeros(())),
            ShapeError,
            "prediction must be (..., labels)",
        ),
        ("GaussianNLLLoss", (X, torch.zeros(3, 2), X), ShapeError, "var must have the shape of the input, (2, 3), or"),
        ("GaussianNLLLoss", (X, torch.zeros(1, 1), X), ShapeError, "var must have the shape of the input, (2, 3), or"),
        ("TripletMarginLoss", (X, X.double(), X), DtypeError, "positive must have the dtype of anchor, torch.float32"),
        ("L1Loss", (X, X.bool()), DtypeError, "target must hold real numbers, got torch.bool; convert with .float()"),
        ("BCELoss", (X, X.long()), DtypeError, "target must be floating point, got torch.int64"),
    ],
)
def test_inputs_that_do_not_fit(name, inputs, error, text):
    with pytest.raises(error) as caught:
        getattr(nn, name)().forward(*inputs)
    assert str(caught.value).startswith(f"{name}: {text}")


@pytest.mark.parametrize(
    ("name", "weight", "error", "text"),
    [
        ("BCELoss", torch.ones(4), ShapeError, "weight must broadcast to the prediction, (2, 3), got (4,)"),
        (
            "MultiLabelSoftMarginLoss",
            torch.ones(4),
            ShapeError,
            "weight must broadcast to the prediction, (2, 3), got",
        ),
        ("NLLLoss", torch.ones(4), ShapeError, "weight must have one number for each of 3 classes, got (4,)"),
        ("MultiMarginLoss", torch.ones(4), ShapeError, "weight must have one number for each of 3 classes, got (4,)"),
        ("NLLLoss", torch.ones(3).double(), DtypeError, "weight must have the dtype of the prediction, torch.float32"),
        ("NLLLoss", -torch.ones(3), ArgumentError, "weight must be at least 0 for each class, got [-1.0, -1.0, -1.0]"),
        ("MultiMarginLoss", [1.0], ArgumentError, "weight must be a tensor, got a list"),
    ],
)
def test_weights_that_do_not_fit(name, weight, error, text):
    predictions, targets = draw(name, (2, 3))
    with pytest.raises(error) as caught:
        getattr(nn, name)(weight=weight).forward(*predictions, *targets)
    assert str(caught.value).startswith(f"{name}: {text}")


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("SmoothL1Loss", {"beta": -1}, "beta must be at least 0, got -1"),
        ("HuberLoss", {"delta": 0}, "delta must be above 0, got 0"),
        ("PoissonNLLLoss", {"eps": "small"}, "eps must be a number, got 'small'"),
        ("GaussianNLLLoss", {"eps": 0}, "eps must be above 0, got 0"),
        ("HingeEmbeddingLoss", {"margin": None}, "margin must be a number, got None"),
        ("MultiMarginLoss", {"p": 3}, "p must be 1 or 2, got 3"),
        ("NLLLoss", {"ignore_index": 1.5}, "ignore_index must be a whole number, got 1.5"),
        ("TripletMarginLoss", {"margin": 0}, "margin must be above 0, got 0"),
        ("TripletMarginLoss", {"p": 0.5}, "p must be between 1 and 1e+06, got 0.5"),
    ],
)
def test_arguments_that_do_not_fit(name, options, text):
    with pytest.raises(ArgumentError) as error:
        getattr(nn, name)(**options)
    assert str(error.value) == f"{name}: {text}"
