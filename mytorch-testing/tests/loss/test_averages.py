"""Losses that say wrongly what averages and predictions need to know, beside right twins."""

import pytest
import torch

from mytorch.core import Loss, Module, require_d_value
from mytorch.testing import CheckError, check_loss

GENERATOR = torch.Generator().manual_seed(0)
X, T = torch.randn(5, 3, generator=GENERATOR), torch.randn(5, 3, generator=GENERATOR)
T[1], T[0] = -2.0, 3.0
SOME = T.clone()
SOME[3] = torch.tensor([-1.0, 0.5, 2.0])


class Positive(Loss):
    """The mean squared error over the rows whose first target is positive; the others are ignored."""

    outputs = "numbers"

    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def forward(self, prediction, target):
        difference = (prediction - target) * self.counted(target)
        total = difference.square().sum()
        return total / self.weight_of(prediction, target) if self.reduction == "mean" else total, (difference, target)

    def backward(self, d_value, saved):
        require_d_value(self, d_value, ())
        difference, target = saved
        count = self.weight_of(difference, target).clamp(1) if self.reduction == "mean" else 1
        return 2 * d_value * difference / count

    def counted(self, target):
        return (target[:, :1] > 0).to(target.dtype)

    def weight_of(self, prediction, target):
        return self.counted(target).sum() * target.shape[1]


class Rows(Positive):
    """Says that its mean is over all rows."""

    def forward(self, prediction, target):
        difference = (prediction - target) * self.counted(target)
        return difference.square().sum() / (self.counted(target).sum() * target.shape[1]), (difference, target)

    def backward(self, d_value, saved):
        difference, target = saved
        return 2 * d_value * difference / (self.counted(target).sum() * target.shape[1])

    def weight_of(self, prediction, target):
        return len(target)


class SaysMean(Positive):
    """A sum that does not say so."""

    def __init__(self):
        super().__init__("sum")

    def forward(self, prediction, target):
        self.reduction = "sum"
        value = super().forward(prediction, target)
        self.reduction = "mean"
        return value


class Constant(Positive):
    def weight_of(self, prediction, target):
        return 1


class Nan(Positive):
    """0 / 0 for a batch of ignored targets."""

    def backward(self, d_value, saved):
        difference, target = saved
        return 2 * d_value * difference / self.weight_of(difference, target)


class Vector(Positive):
    def weight_of(self, prediction, target):
        return target[:, 0].abs()


class Negative(Positive):
    def weight_of(self, prediction, target):
        return -1.0


class Logits(Positive):
    def __init__(self):
        super().__init__()
        self.outputs = "logits"


class OnlyAModule(Module):
    forward, backward, counted = Positive.forward, Positive.backward, Positive.counted
    weight_of, reduction = Positive.weight_of, "mean"


@pytest.mark.parametrize(
    ("loss", "check", "text"),
    [
        (Rows, "averages", "the mean, weighted by weight_of, of the values of row 0 and of the other 4 must be"),
        (SaysMean, "averages", '.* and reduction "sum" for a loss that divides by nothing'),
        (
            Constant,
            "averages",
            "weight_of must add up over batches: for row 0 and the other 4 it is 1 and 1, and",
        ),
        (Nan, "ignored_batch", "the gradient of a prediction must be 0 for a batch of weight 0, got up to nan"),
        (Vector, "averages", r"weight_of must return a number or a tensor without axes, got a tensor of \(1,\)"),
        (Negative, "averages", r"weight_of must return a number of at least 0, got -1\.0"),
        (Logits, "declared_outputs", "outputs must be one of softmax, .*, scores, got 'logits'"),
        (OnlyAModule, "declared_outputs", "a loss must derive from mytorch.core.Loss, .* got OnlyAModule"),
        (OnlyAModule, "averages", "a loss must derive from mytorch.core.Loss, .* got OnlyAModule"),
    ],
)
def test_a_loss_that_says_what_is_wrong_fails(loss, check, text):
    with pytest.raises(CheckError, match=f"{loss.__name__}.*: {check}: {text}"):
        check_loss(loss, X, SOME, checks=(check,))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_right_twin_passes(reduction):
    names = ("declared_outputs", "averages", "ignored_batch")
    report = check_loss(lambda: Positive(reduction), X, SOME, checks=names)
    assert report.passed == [f"train/{name}" for name in names]


def test_what_cannot_be_cut_into_batches_is_skipped():
    class Flat(Positive):
        def counted(self, target):
            return (target > 0).to(target.dtype)

        def weight_of(self, prediction, target):
            return self.counted(target).sum()

    skipped = check_loss(Flat, X[:, 0], SOME[:, 0], checks=("averages", "ignored_batch")).skipped
    assert set(skipped.values()) == {"its inputs are no batch of several rows"}
    tagged = check_loss(Rows, X, SOME, checks=("averages",), tags=("mixes_batch",))
    assert tagged.skipped == {"train/averages": "tag mixes_batch"}
    assert check_loss(Positive, X, T.abs(), checks=("ignored_batch",)).skipped == {
        "train/ignored_batch": "none of its targets weighs nothing"
    }
