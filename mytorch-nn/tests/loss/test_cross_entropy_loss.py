import pytest
import torch

from mytorch.core import ArgumentError, AutogradError, DtypeError, ShapeError
from mytorch.nn import CrossEntropyLoss
from mytorch.testing import check_loss

REDUCTIONS = ["mean", "sum", "none"]
OPTIONS = [
    {},
    {"weight": torch.rand(4) + 0.5},
    {"label_smoothing": 0.2},
    {"weight": torch.rand(4) + 0.5, "label_smoothing": 0.2},
    {"weight": torch.rand(4) + 0.5, "label_smoothing": 0.2, "ignore_index": 2},
    {"ignore_index": 1},
    {"label_smoothing": 1.0},
]
each_option = pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "+".join(options))
each_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)


def draw(shape, kind):
    prediction = 2 * torch.randn(shape)
    axis = 1 if len(shape) > 1 else 0
    if kind == "probabilities":
        return prediction, torch.rand(shape).softmax(axis)
    return prediction, torch.randint(0, 4, shape[:axis] + shape[axis + 1 :])


@each_reduction
@each_option
@pytest.mark.parametrize("kind", ["indices", "probabilities"])
def test_the_contract(kind, options, reduction):
    if kind == "probabilities":
        options = {name: value for name, value in options.items() if name != "ignore_index"}
    check_loss(lambda: CrossEntropyLoss(reduction=reduction, **options), *draw((3, 4, 2), kind))


def test_the_weight_is_a_buffer_as_in_torch():
    loss = CrossEntropyLoss(torch.rand(4))
    assert list(loss.state_dict()) == ["weight"]
    assert loss.to(torch.float64).weight.value.dtype == torch.float64


X = torch.zeros(5, 4)


@pytest.mark.parametrize(
    ("options", "prediction", "target", "error", "text"),
    [
        (
            {},
            X,
            torch.zeros(4).long(),
            ShapeError,
            "target must have the shape (5,), a class index for each prediction",
        ),
        ({}, X, torch.zeros(5, 3), ShapeError, "target must have the shape of the prediction, (5, 4), got (5, 3)"),
        (
            {},
            X,
            torch.zeros(5).int(),
            DtypeError,
            "target must be int64 class indices or floating-point probabilities",
        ),
        (
            {},
            X,
            torch.zeros(5),
            DtypeError,
            "target must be int64 where it holds class indices, got torch.float32; convert with .long()",
        ),
        (
            {"weight": torch.ones(4).double()},
            X,
            torch.zeros(5).long(),
            DtypeError,
            "weight must have the dtype of the prediction, torch.float32, got torch.float64; convert with loss.to(",
        ),
        ({}, X.long(), torch.zeros(5).long(), DtypeError, "prediction must be floating point, got torch.int64"),
        ({}, X[:, :0], X[:, :0], ShapeError, "prediction must have at least one class, got (5, 0)"),
        ({}, X[0, 0], torch.tensor(0), ShapeError, "prediction must have an axis of classes"),
        (
            {"weight": torch.ones(3)},
            X,
            torch.zeros(5).long(),
            ShapeError,
            "weight must have one number for each of 4 classes, got (3,)",
        ),
    ],
)
def test_bad_input(options, prediction, target, error, text):
    with pytest.raises(error) as caught:
        CrossEntropyLoss(**options).forward(prediction, target)
    assert str(caught.value).startswith(f"CrossEntropyLoss: {text}")


@pytest.mark.parametrize("options", [*OPTIONS, {"ignore_index": 0}], ids=lambda options: "+".join(options))
@each_reduction
@pytest.mark.parametrize("wrong", [7, 4, -1, -(2**62), 2**62])
@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (5, 4, 3, 2), (4,)], ids=str)
def test_a_class_that_the_prediction_has_not(options, reduction, wrong, shape):
    prediction, target = draw(shape, "indices")
    target.reshape(-1)[-1] = wrong
    with pytest.raises(ArgumentError) as caught:
        CrossEntropyLoss(reduction=reduction, **options).forward(prediction, target)
    assert str(caught.value) == (
        f"CrossEntropyLoss: target must be a class between 0 and 3, as the prediction of {shape} has, or "
        f"ignore_index, {options.get('ignore_index', -100)}, got {wrong}"
    )


@each_reduction
@each_option
def test_the_gradients_of_the_mean_of_nothing_are_zeros(options, reduction):
    prediction, _ = draw((6, 4), "indices")
    target = torch.full((6,), options.get("ignore_index", -100))
    loss = CrossEntropyLoss(reduction=reduction, **options)
    value, saved = loss.forward(prediction, target)
    assert value.isnan().all() if reduction == "mean" else (value == 0).all()
    assert loss.weight_of(prediction, target) == 0
    assert torch.equal(loss.backward(1.5, saved), torch.zeros(6, 4))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_classes_that_weigh_nothing_are_a_mean_of_nothing_too(label_smoothing):
    loss = CrossEntropyLoss(torch.tensor([0.0, 1.0, 2.0, 0.0]), label_smoothing=label_smoothing)
    prediction, target = torch.randn(3, 4), torch.tensor([0, 3, 0])
    _, saved = loss.forward(prediction, target)
    assert loss.weight_of(prediction, target) == 0
    assert torch.equal(loss.backward(1.0, saved), torch.zeros(3, 4))


@pytest.mark.parametrize("value", [1.5, None, True, "a", torch.tensor(1)])
def test_an_ignore_index_that_is_none(value):
    with pytest.raises(ArgumentError, match="CrossEntropyLoss: ignore_index must be a whole number, got "):
        CrossEntropyLoss(ignore_index=value)


@pytest.mark.parametrize(
    ("weight", "error", "text"),
    [
        ([1.0, 2.0], ArgumentError, "weight must be a tensor, got a list; convert with torch.as_tensor(weight)"),
        (torch.tensor([1, 2]), DtypeError, "weight must be floating point, got torch.int64; convert with .float()"),
        (torch.tensor([1.0, -2.0]), ArgumentError, "weight must be at least 0 for each class, got [1.0, -2.0]"),
        (torch.tensor([1.0, torch.nan]), ArgumentError, "weight must be at least 0 for each class, got [1.0, nan]"),
    ],
)
def test_weights_that_are_none(weight, error, text):
    with pytest.raises(error) as caught:
        CrossEntropyLoss(weight)
    assert str(caught.value) == f"CrossEntropyLoss: {text}"


def test_bad_arguments():
    with pytest.raises(ArgumentError, match=r"CrossEntropyLoss: label_smoothing must be between 0 and 1, got 1\.5"):
        CrossEntropyLoss(label_smoothing=1.5)
    with pytest.raises(ArgumentError, match="CrossEntropyLoss: reduction must be one of mean, sum, none, got 'avg'"):
        CrossEntropyLoss(reduction="avg")


def test_bad_upstream_gradient():
    _, saved = CrossEntropyLoss(reduction="none").forward(X, torch.zeros(5).long())
    with pytest.raises(
        ShapeError, match=r"CrossEntropyLoss: d_value must be .* shape of the value, \(5,\), got \(4,\)"
    ):
        CrossEntropyLoss(reduction="none").backward(torch.ones(4), saved)


def test_a_target_that_requires_grad_is_refused():
    prediction, target = torch.randn(4, 3), torch.rand(4, 3, requires_grad=True)
    with pytest.raises(AutogradError, match="CrossEntropyLoss: target must not require grad"):
        CrossEntropyLoss().forward(prediction, target)
    with torch.inference_mode():
        CrossEntropyLoss().forward(prediction, target)
