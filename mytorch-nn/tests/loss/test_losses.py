"""The losses agree with PyTorch's, for arguments and shapes that hypothesis draws; what does not fit is refused."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mytorch import nn
from mytorch.core import ArgumentError, AutogradError, DtypeError, Module, Parameter, ShapeError

number, positive = st.floats(-1, 1), st.floats(0.1, 2)
flag = st.booleans()
WEIGHTS = st.sampled_from([None, torch.rand(3)])
ARGUMENTS = {
    "L1Loss": {},
    "SmoothL1Loss": {"beta": st.sampled_from([0, 0.5, 1, 3.0])},
    "HuberLoss": {"delta": positive},
    "KLDivLoss": {"log_target": flag, "reduction": st.sampled_from(["batchmean", "mean", "sum", "none"])},
    "BCELoss": {"weight": WEIGHTS},
    "PoissonNLLLoss": {"log_input": flag, "full": flag, "eps": st.sampled_from([1e-8, 0.1])},
    "SoftMarginLoss": {},
    "HingeEmbeddingLoss": {"margin": number},
    "MultiMarginLoss": {
        "p": st.sampled_from([1, 2]),
        "margin": number,
        "weight": WEIGHTS,
    },
    "MultiLabelMarginLoss": {},
    "MultiLabelSoftMarginLoss": {"weight": WEIGHTS},
    "NLLLoss": {"weight": WEIGHTS, "ignore_index": st.sampled_from([-100, 1])},
    "MarginRankingLoss": {"margin": number},
    "CosineEmbeddingLoss": {"margin": st.floats(-0.5, 0.5)},
    "TripletMarginLoss": {"margin": positive, "p": st.sampled_from([1, 1.5, 2, 3]), "swap": flag},
    "TripletMarginWithDistanceLoss": {"margin": positive, "swap": flag},
    "GaussianNLLLoss": {"full": flag, "eps": st.sampled_from([1e-6, 0.3])},
}
ROWS_ONLY = (
    "MultiMarginLoss",
    "MultiLabelMarginLoss",
    "CosineEmbeddingLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
)
REDUCTIONS = st.sampled_from(["mean", "sum", "none"])
SHAPES = st.sampled_from([(3,), (4, 3), (1, 3), (0, 3), (2, 3, 3)])
each_loss = pytest.mark.parametrize("name", ARGUMENTS)
pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")  # torch's, of KLDivLoss


def signs(shape):
    return torch.randint(0, 2, shape) * 2.0 - 1


def draw(name, shape):
    """Predictions, as many as the loss has, and targets."""
    if name in ("MarginRankingLoss", "CosineEmbeddingLoss"):
        of_rows = name == "CosineEmbeddingLoss"
        return (torch.randn(shape), torch.randn(shape)), (signs(shape[:-1] if of_rows else shape),)
    if name in ("TripletMarginLoss", "TripletMarginWithDistanceLoss"):
        return tuple(2 * torch.randn(3, *shape)), ()
    if name == "GaussianNLLLoss":
        return (torch.randn(shape), torch.rand(shape)), (torch.randn(shape),)
    if name == "NLLLoss":
        axis = 1 if len(shape) > 1 else 0
        return (torch.randn(shape).log_softmax(axis),), (torch.randint(0, 3, shape[:axis] + shape[axis + 1 :]),)
    if name == "MultiMarginLoss":
        return (torch.randn(shape),), (torch.randint(0, 3, shape[:-1]),)
    if name == "MultiLabelMarginLoss":
        return (torch.randn(shape),), (torch.rand(shape).argsort(-1) - torch.randint(0, 2, shape),)
    target = {
        "SoftMarginLoss": signs,
        "HingeEmbeddingLoss": signs,
        "PoissonNLLLoss": lambda shape: torch.randint(0, 6, shape).float(),
        "KLDivLoss": lambda shape: torch.rand(shape) * (torch.rand(shape) > 0.3),
        "BCELoss": torch.rand,
        "MultiLabelSoftMarginLoss": torch.rand,
    }.get(name, torch.randn)(shape)
    return (torch.rand(shape) if name == "BCELoss" else torch.randn(shape),), (target,)


def compare(name, options, predictions, targets, dtype):
    """Value, weight and gradients of a loss and its twin, for a random upstream gradient."""
    ours, twin = getattr(nn, name)(**options).to(dtype), getattr(torch.nn, name)(**options).to(dtype)
    assert list(ours.state_dict()) == list(twin.state_dict())
    predictions = [value.to(dtype) for value in predictions]
    targets = [value.to(dtype) if value.is_floating_point() else value for value in targets]
    theirs = [value.detach().requires_grad_() for value in predictions]
    ordered = [theirs[0], *targets, theirs[1]] if name == "GaussianNLLLoss" else [*theirs, *targets]
    expected = twin(*ordered)
    value, saved = ours.forward(*predictions, *targets)
    tolerance = {"rtol": 1e-11, "atol": 1e-11} if dtype is torch.float64 else {}
    torch.testing.assert_close(value, expected.detach(), equal_nan=True, **tolerance)
    d_value = torch.randn_like(value) if value.dim() < 2 else torch.randn_like(value.mT.contiguous()).mT
    expected.backward(d_value)
    for given_ in (d_value, d_value.item()) if not d_value.dim() else (d_value,):
        found = ours.backward(given_, ours.forward(*predictions, *targets)[1] if given_ is not d_value else saved)
        for gradient, its in zip(found if isinstance(found, tuple) else (found,), theirs, strict=True):
            assert gradient.dtype is dtype
            torch.testing.assert_close(gradient, its.grad, equal_nan=True, **tolerance)


@each_loss
@given(data=st.data())
def test_as_torch(name, data):
    options = {"reduction": data.draw(REDUCTIONS)}
    options |= {key: data.draw(values) for key, values in ARGUMENTS[name].items()}
    shape = data.draw(SHAPES)
    if name in ROWS_ONLY and len(shape) > 2:
        shape = (2, 3)
    if name in ("MultiMarginLoss", "MultiLabelMarginLoss") and shape == (0, 3):
        shape = (1, 3)  # of nothing, torch returns whatever stood in memory
    predictions, targets = draw(name, shape)
    if name == "PoissonNLLLoss" and not options["log_input"]:
        predictions = (predictions[0].exp(),)
    compare(name, options, predictions, targets, data.draw(st.sampled_from([torch.float64, torch.float32])))


@pytest.mark.parametrize(("reduction", "expected"), [("mean", math.nan), ("sum", 0.0), ("none", [])])
def test_margins_of_nothing(reduction, expected):
    for loss, shape in ((nn.MultiMarginLoss(reduction=reduction), 0), (nn.MultiLabelMarginLoss(reduction), (0, 3))):
        value, saved = loss.forward(torch.zeros(0, 3), torch.zeros(shape).long())
        assert value.tolist() == pytest.approx(expected, nan_ok=True)
        assert loss.backward(1.0, saved).shape == (0, 3)


def test_the_mean_of_targets_that_weigh_nothing_has_gradients_of_zero():
    loss = nn.NLLLoss(weight=torch.tensor([0.0, 1, 1]))
    value, saved = loss.forward(torch.randn(2, 3, 4), torch.zeros(2, 4).long())
    assert value.isnan()
    assert not loss.backward(1.0, saved).count_nonzero()


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


@each_loss
def test_predictions_that_are_not_contiguous(name):
    predictions, targets = draw(name, (4, 3))
    compare(name, {}, [value.t().contiguous().t() for value in predictions], targets, torch.float64)


@each_loss
def test_bfloat16(name):
    predictions, targets = draw(name, (4, 3))
    loss, expected = getattr(nn, name)(), getattr(nn, name)()
    halves = [value.bfloat16() for value in predictions]
    targets = [value.bfloat16() if value.is_floating_point() else value for value in targets]
    value, saved = loss.forward(*halves, *targets)
    exact, saved_exactly = expected.forward(
        *(half.float() for half in halves), *(t.float() if t.is_floating_point() else t for t in targets)
    )
    torch.testing.assert_close(value.float(), exact, rtol=0.03, atol=0.03)
    found, wanted = loss.backward(1.0, saved), expected.backward(1.0, saved_exactly)
    for one, other in zip(*(some if isinstance(some, tuple) else (some,) for some in (found, wanted)), strict=True):
        assert one.dtype is torch.bfloat16
        torch.testing.assert_close(one.float(), other, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@each_loss
def test_means_over_batches_are_those_over_all(name, reduction):
    loss = getattr(nn, name)(reduction=reduction)
    predictions, targets = draw(name, (7, 3))
    inputs = [value.double() if value.is_floating_point() else value for value in (*predictions, *targets)]
    count = len(predictions)

    def both(rows):
        cut = [value[rows] for value in inputs]
        prediction = cut[0] if count == 1 else tuple(cut[:count])
        return float(loss(*cut)), float(loss.weight_of(prediction, cut[count] if targets else ()))

    (value, weight), parts = both(slice(None)), [both(slice(0, 2)), both(slice(2, 7))]
    assert weight == pytest.approx(sum(own for _, own in parts))
    if reduction == "mean":
        assert value == pytest.approx(sum(part * own for part, own in parts) / weight)
    else:
        assert value / weight == pytest.approx(sum(part for part, _ in parts) / weight)
        assert value / weight == pytest.approx(float(getattr(nn, name)()(*inputs)))


def test_a_weighted_mean_of_classes_over_batches():
    loss = nn.NLLLoss(weight=torch.tensor([0.2, 1.0, 3.0]).double(), ignore_index=1)
    prediction, target = torch.randn(6, 3).double(), torch.tensor([0, 1, 2, 1, 1, 2])
    weights = [float(loss.weight_of(prediction[rows], target[rows])) for rows in (slice(0, 3), slice(3, 6))]
    assert weights == pytest.approx([3.2, 3.0])
    values = [float(loss(prediction[rows], target[rows])) for rows in (slice(0, 3), slice(3, 6))]
    assert float(loss(prediction, target)) == pytest.approx((values[0] * 3.2 + values[1] * 3.0) / 6.2)


def test_kl_divergence_by_rows():
    assert nn.KLDivLoss("batchmean").weight_of(torch.zeros(4, 3), torch.ones(4, 3)) == 4
    assert nn.KLDivLoss().weight_of(torch.zeros(4, 3), torch.ones(4, 3)) == 12


def test_a_batch_of_ignored_targets_has_gradients_of_zero():
    loss = nn.NLLLoss(ignore_index=1)
    value, saved = loss.forward(torch.randn(2, 3), torch.tensor([1, 1]))
    assert value.isnan()
    assert not loss.backward(1.0, saved).count_nonzero()


@pytest.mark.parametrize("name", ["MarginRankingLoss", "HingeEmbeddingLoss"])
def test_on_the_border_of_a_margin(name):
    x = torch.tensor([0.5, 0.5, 1.0, 1.0])
    predictions = (x, torch.zeros(4)) if name == "MarginRankingLoss" else (x,)
    compare(
        name, {"margin": 0.5, "reduction": "sum"}, predictions, [torch.tensor([1.0, -1.0, 1.0, -1.0])], torch.float64
    )


def test_probabilities_of_zero_and_one():
    p, t = torch.tensor([0.0, 1.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 1.0, 0.0])
    compare("BCELoss", {"reduction": "sum"}, (p,), (t,), torch.float64)


def test_soft_margin_of_large_scores_is_finite():
    value, saved = nn.SoftMarginLoss("sum").forward(torch.tensor([1000.0]), torch.tensor([-1.0]))
    assert value == 1000
    assert nn.SoftMarginLoss("sum").backward(1.0, saved) == 1


@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (4,)], ids=str)
def test_variances_that_several_numbers_share(shape):
    predictions = (torch.randn(4, 3), torch.rand(shape))
    compare("GaussianNLLLoss", {"full": True}, predictions, (torch.randn(4, 3),), torch.float64)


def test_equal_vectors():
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    compare("TripletMarginLoss", {"eps": 0.0, "margin": 9.0}, (x, x, y), (), torch.float64)
    compare("TripletMarginLoss", {"swap": True, "margin": 9.0}, (x, x, y), (), torch.float64)
    compare("CosineEmbeddingLoss", {}, (torch.zeros(2, 3), y), (signs((2,)),), torch.float64)


class Weighted(Module):
    """A distance with a weight for each axis: y = sum of weight * (x1 - x2)^2."""

    def __init__(self):
        self.weight = Parameter(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))

    def forward(self, x1, x2):
        return ((x1 - x2).square() * self.weight.value).sum(-1), x1 - x2

    def backward(self, d_y, difference):
        d_y = d_y.unsqueeze(-1)
        self.weight.accumulate((d_y * difference.square()).reshape(-1, 3).sum(0))
        d_x1 = 2 * d_y * self.weight.value * difference
        return d_x1, -d_x1


@pytest.mark.parametrize("swap", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_distance_of_ones_own_with_a_parameter(swap, reduction):
    ours = nn.TripletMarginWithDistanceLoss(distance_function=Weighted(), margin=2.0, swap=swap, reduction=reduction)
    weight = ours.distance_function.weight.value.clone().requires_grad_()

    def distance(x1, x2):
        return ((x1 - x2).square() * weight).sum(-1)

    twin = torch.nn.TripletMarginWithDistanceLoss(
        distance_function=distance, margin=2.0, swap=swap, reduction=reduction
    )
    inputs = [torch.randn(6, 3).double() for _ in range(3)]
    theirs = [value.clone().requires_grad_() for value in inputs]
    expected = twin(*theirs)
    value, saved = ours.forward(*inputs)
    torch.testing.assert_close(value, expected.detach())
    d_value = torch.randn_like(value)
    expected.backward(d_value)
    torch.testing.assert_close(ours.backward(d_value, saved), tuple(one.grad for one in theirs))
    torch.testing.assert_close(ours.distance_function.weight.grad, weight.grad)


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
            "prediction must be between 0 and 1, got nan; of scores, use",
        ),
        ("KLDivLoss", (X, X - 0.5), "target must be at least 0, got -0.5"),
        ("PoissonNLLLoss", (X, X - 2), "target must be at least 0, got -2.0"),
        ("GaussianNLLLoss", (X, X - 2, X), "var must be at least 0, got -2.0"),
        (
            "SoftMarginLoss",
            (X, OTHER),
            "target must be 1 or -1, got 0.0; for targets of 0 and 1, write 2 * target",
        ),
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
