import pytest
import torch

from mytorch.core import Loss, require_d_value, require_same_shape
from mytorch.testing import LOSS_CHECKS, CheckError, check_loss

generator = torch.Generator().manual_seed(0)
NO_PARAMETERS = [
    f"train/{name}"
    for name in (
        "shared_module",
        "accumulation",
        "fresh_gradients",
        "listed_once",
        "not_trainable",
        "state_round_trip",
        "strict_loading",
        "wrapped_names",
        "tied_names",
        "loose_loading",
    )
]
NOTHING_IGNORED = "train/ignored_batch"
SKIPPED = [*NO_PARAMETERS, "train/expanded_upstream", NOTHING_IGNORED]
PREDICTION, TARGET = torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)


class Squared(Loss):
    def forward(self, prediction, target):
        require_same_shape(self, prediction, target)
        return (prediction - target).square().mean(), (prediction, target)

    def backward(self, d_value, saved):
        require_d_value(self, d_value, ())
        prediction, target = saved
        return d_value * 2 / prediction.numel() * (prediction - target)


class WrongSign(Squared):
    def backward(self, d_value, saved):
        return -super().backward(d_value, saved)


class SumForMean(Squared):
    def backward(self, d_value, saved):
        return super().backward(d_value, saved) * saved[0].numel()


class ForgetsUpstream(Squared):
    def backward(self, d_value, saved):
        return super().backward(1.0, saved)


class Offset(Squared):
    """Right for one upstream gradient only."""

    def backward(self, d_value, saved):
        return super().backward(1.0, saved) * (d_value if isinstance(d_value, float) else 1.0)


class KeepsState(Squared):
    def forward(self, prediction, target):
        self.difference = prediction - target
        return self.difference.square().mean(), None

    def backward(self, d_value, saved):
        return d_value * 2 / self.difference.numel() * self.difference


class WritesTarget(Squared):
    def forward(self, prediction, target):
        value, _ = super().forward(prediction, target)
        return value, (prediction, target.clone(), target.neg_())[:2]


class BothGradients(Squared):
    def backward(self, d_value, saved):
        d_prediction = super().backward(d_value, saved)
        return d_prediction, -d_prediction


@pytest.mark.parametrize(
    ("loss", "check", "text"),
    [
        (WrongSign, "finite_differences", "gradient of prediction must match finite differences"),
        (SumForMean, "autograd", "gradient of prediction must match autograd"),
        (ForgetsUpstream, "finite_differences", "gradient of prediction must match finite differences"),
        (Offset, "upstream_tensor", "must double when the upstream gradient, now a tensor, does"),
        (KeepsState, "two_forwards", "must be what forward 1 alone gives"),
        (KeepsState, "nothing_kept", "attribute difference must not be set by forward"),
        (WritesTarget, "nothing_written", "target must not be written into, but forward did"),
        (BothGradients, "autograd", "must"),
    ],
)
def test_a_wrong_loss_fails_the_named_check(loss, check, text):
    with pytest.raises(CheckError) as caught:
        check_loss(loss, PREDICTION, TARGET, checks=(check,))
    message = str(caught.value)
    assert message.startswith(f"{loss.__name__}(): {check}: ")
    assert text in message
    assert "reproduce: check_loss(lambda: " in message


def test_a_right_loss_passes_every_check():
    report = check_loss(Squared, PREDICTION, TARGET)
    assert list(report.skipped) == SKIPPED
    assert len(report.passed) == len(LOSS_CHECKS) - 4 - len(NO_PARAMETERS)  # no reference, one prediction, one number


class Triplet(Loss):
    reduction = "sum"

    def forward(self, a, b, target):
        require_same_shape(self, a, target)
        require_same_shape(self, a, b)
        return (a * b * target).sum(), (a, b, target)

    def backward(self, d_value, saved):
        require_d_value(self, d_value, ())
        a, b, target = saved
        return d_value * b * target, d_value * a * target


def test_a_loss_of_several_predictions():
    inputs = PREDICTION, TARGET, torch.randn(4, 3)
    report = check_loss(Triplet, *inputs, predictions=2)
    assert list(report.skipped) == SKIPPED
    assert "train/same_tensor" in report.passed
    with pytest.raises(
        CheckError,
        match="a tuple of 3 gradients, one for each input that was passed, got a tuple of 2",
    ):
        check_loss(Triplet, *inputs, predictions=3)
