"""Losses that take an upstream gradient of another shape, beside right twins."""

import pytest
import torch

from mytorch.core import Loss, ShapeError, require_d_value
from mytorch.testing import CheckError, check_loss

X, T = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))


class Squared(Loss):
    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def forward(self, prediction, target):
        difference = prediction - target
        value = difference.square()
        return value if self.reduction == "none" else value.mean(), difference

    def backward(self, d_value, difference):
        require_d_value(self, d_value, difference.shape if self.reduction == "none" else ())
        return 2 * d_value * difference / (1 if self.reduction == "none" else difference.numel())


class Broadcasts(Squared):
    def backward(self, d_value, difference):
        return 2 * torch.as_tensor(d_value if d_value is not None else 1.0) * difference


class Raw(Squared):
    """Leaves it to torch, which says nothing of the loss."""

    def backward(self, d_value, difference):
        return (2 * torch.as_tensor(d_value) * difference).view(difference.shape)


class Nameless(Squared):
    def backward(self, d_value, difference):
        try:
            return super().backward(d_value, difference)
        except ShapeError:
            raise ShapeError("wrong shape") from None


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (
            Broadcasts,
            r"must be a number or have the shape of the value, .*: raise ShapeError for a tensor of \(.*\), got",
        ),
        (Raw, r"raise ShapeError for .*, got (a gradient|RuntimeError)"),
        (Nameless, "the ShapeError must name Nameless, got 'wrong shape'"),
    ],
)
def test_a_loss_that_takes_another_shape_fails(loss, text, reduction):
    with pytest.raises(CheckError, match=f"upstream_shape: .*{text}"):
        check_loss(lambda: loss(reduction), X, T, checks=("upstream_shape",))


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_the_right_twin_passes(reduction):
    report = check_loss(lambda: Squared(reduction), X, T, checks=("upstream_shape",))
    assert report.passed == ["train/upstream_shape"]
