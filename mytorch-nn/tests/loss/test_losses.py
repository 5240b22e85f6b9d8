"""The losses agree with PyTorch's, for arguments and shapes that hypothesis draws."""

import math

import pytest
import torch
from drawn_losses import ARGUMENTS, draw, each_loss, flag, signs

from mytorch import nn
from mytorch.core import Directions, Module, Parameter
from mytorch.plugins import is_older

pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")  # torch's, of KLDivLoss


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


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_classes_of_images_that_are_not_contiguous(reduction):
    loss, prediction = nn.NLLLoss(reduction=reduction), torch.randn(2, 3, 4, 5).log_softmax(1)
    target, gradients = torch.randint(0, 3, (2, 4, 5)), []
    for x in (prediction, prediction.to(memory_format=torch.channels_last)):
        value, saved = loss.forward(x, target)
        gradients.append(loss.backward(torch.ones_like(value), saved))
    torch.testing.assert_close(*gradients)


FLAGS = [(name, {key: True}) for name, own in ARGUMENTS.items() for key, values in own.items() if values is flag]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in ARGUMENTS), *FLAGS])
def test_half_precision(name, options, dtype):
    predictions, targets = draw(name, (4, 3))
    loss, expected = getattr(nn, name)(**options), getattr(nn, name)(**options)
    halves = [value.to(dtype) for value in predictions]
    targets = [value.to(dtype) if value.is_floating_point() else value for value in targets]
    value, saved = loss.forward(*halves, *targets)
    exact, saved_exactly = expected.forward(
        *(half.float() for half in halves), *(t.float() if t.is_floating_point() else t for t in targets)
    )
    torch.testing.assert_close(value.float(), exact, rtol=0.03, atol=0.03)
    found, wanted = loss.backward(1.0, saved), expected.backward(1.0, saved_exactly)
    for one, other in zip(*(some if isinstance(some, tuple) else (some,) for some in (found, wanted)), strict=True):
        assert one.dtype is dtype
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


on_the_border = pytest.mark.skipif(
    not is_older(torch.__version__, "2.14"), reason="torch 2.14 has another gradient, 0, where a loss begins to be 0"
)


@on_the_border
@pytest.mark.parametrize("name", ["MarginRankingLoss", "HingeEmbeddingLoss"])
def test_on_the_border_of_a_margin(name):
    x = torch.tensor([0.5, 0.5, 1.0, 1.0])
    predictions = (x, torch.zeros(4)) if name == "MarginRankingLoss" else (x,)
    compare(
        name, {"margin": 0.5, "reduction": "sum"}, predictions, [torch.tensor([1.0, -1.0, 1.0, -1.0])], torch.float64
    )


@on_the_border
def test_a_cosine_on_the_border_of_the_margin():
    compare("CosineEmbeddingLoss", {}, (torch.zeros(2, 3), torch.randn(2, 3)), (signs((2,)),), torch.float64)


def test_probabilities_of_zero_and_one():
    p, t = torch.tensor([0.0, 1.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 1.0, 0.0])
    compare("BCELoss", {"reduction": "sum"}, (p,), (t,), torch.float64)


def test_soft_margin_of_large_scores_is_finite():
    value, saved = nn.SoftMarginLoss("sum").forward(torch.tensor([1000.0]), torch.tensor([-1.0]))
    assert value == 1000
    assert nn.SoftMarginLoss("sum").backward(1.0, saved) == 1


def test_soft_margin_of_every_size_of_score_is_the_formula():
    x = torch.linspace(-60, 60, 481, dtype=torch.float64)
    value, saved = nn.SoftMarginLoss("none").forward(x, torch.ones_like(x))
    torch.testing.assert_close(value, torch.logaddexp(-x, torch.zeros_like(x)), rtol=1e-15, atol=0)
    torch.testing.assert_close(nn.SoftMarginLoss("none").backward(1.0, saved), -(-x).sigmoid(), rtol=1e-15, atol=0)


@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (4,)], ids=str)
def test_variances_that_several_numbers_share(shape):
    predictions = (torch.randn(4, 3), torch.rand(shape))
    compare("GaussianNLLLoss", {"full": True}, predictions, (torch.randn(4, 3),), torch.float64)


def test_equal_vectors():
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    compare("TripletMarginLoss", {"eps": 0.0, "margin": 9.0}, (x, x, y), (), torch.float64)
    compare("TripletMarginLoss", {"swap": True, "margin": 9.0}, (x, x, y), (), torch.float64)
    compare("CosineEmbeddingLoss", {"margin": -0.5}, (torch.zeros(2, 3), y), (signs((2,)),), torch.float64)


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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@each_loss
def test_the_change_of_a_gradient_that_is_a_number_is_one(name, dtype):
    """It may be infinite, where a dtype has no larger one."""
    loss, compared = getattr(nn, name)(), 0
    for scale in (0.0, 1e-7, 1e-3, 1.0, 30.0, 1e3, 1e4, 1e10, 1e19):
        predictions, targets = (
            tuple(each.to(dtype) if each.is_floating_point() else each for each in part) for part in draw(name, (4, 3))
        )
        if name == "BCELoss":  # of which some are exact
            predictions = ((predictions[0] * min(scale, 1.0)).round(decimals=1).to(dtype),)
        else:
            predictions = tuple(scale * each for each in predictions)
        _, saved = loss.forward(*predictions, *targets)
        moved = tuple(map(torch.ones_like, predictions))
        _, t_saved = loss.tangent(moved if len(moved) > 1 else moved[0], saved, Directions({}))
        found = loss.backward_tangent(1.0, 0.5, saved, t_saved, Directions({}))
        for d, t_d in zip(*(each if isinstance(each, tuple) else (each,) for each in found), strict=True):
            assert not t_d[d.isfinite()].isnan().any(), scale
            compared += int(d.isfinite().sum())
    assert compared >= 12
