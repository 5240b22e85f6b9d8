"""Wrong layers and losses, each beside a right twin: the check that names the fault fails it and passes the twin."""

import random

import pytest
import torch

from mytorch.core import Module, Parameter, ShapeError, require_last_axis, require_same_shape
from mytorch.testing import CheckError, check_layer, check_loss

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Scale(Module):
    """The right twin: y = gain * x."""

    def __init__(self):
        self.gain = Parameter(torch.rand(3))

    def forward(self, x):
        require_last_axis(self, x, 3)
        return self.gain.value * x, x

    def backward(self, d_y, x):
        self.gain.accumulate((d_y * x).reshape(-1, 3).sum(0))
        return self.gain.value * d_y


class HiddenAutograd(Scale):
    def backward(self, d_y, x):
        with torch.enable_grad():
            watched = x.detach().clone().requires_grad_()
            y = self.gain.value * watched
            (d_x,) = torch.autograd.grad(y, watched, d_y)
        self.gain.accumulate((d_y * x).reshape(-1, 3).sum(0))
        return d_x


class GraphLeft(Scale):
    def forward(self, x):
        y, saved = super().forward(x)
        return y.requires_grad_(), saved


class ReadsModeAtBackward(Scale):
    def forward(self, x):
        return x * (2.0 if self.training else 1.0), None

    def backward(self, d_y, saved):
        return d_y * (2.0 if self.training else 1.0)


class SavesMode(ReadsModeAtBackward):
    def forward(self, x):
        return super().forward(x)[0], self.training

    def backward(self, d_y, training):
        return d_y * (2.0 if training else 1.0)


class IgnoresTrainable(Scale):
    def backward(self, d_y, x):
        d_gain = (d_y * x).reshape(-1, 3).sum(0)
        self.gain.grad = d_gain if self.gain.grad is None else self.gain.grad + d_gain
        return self.gain.value * d_y


class LosesDtype(Scale):
    def backward(self, d_y, x):
        return super().backward(d_y, x).double()


class MakesFloat32(Scale):
    def forward(self, x):
        y, saved = super().forward(x)
        return (y.float() if x.dtype is torch.bfloat16 else y), saved


class CentersBatch(Module):
    def forward(self, x):
        return x - x.mean(0), None

    def backward(self, d_y, saved):
        return d_y - d_y.mean(0)


class CentersRow(Module):
    def forward(self, x):
        return x - x.mean(-1, keepdim=True), None

    def backward(self, d_y, saved):
        return d_y - d_y.mean(-1, keepdim=True)


class OnlyMatrices(Scale):
    def forward(self, x):
        if x.dim() != 2:
            raise ShapeError(f"OnlyMatrices: input must have 2 axes, got {x.dim()}")
        return super().forward(x)


class SumsFirstAxisOnly(Scale):
    def backward(self, d_y, x):
        d_gain = (d_y * x).sum(0)
        self.gain.accumulate(d_gain if d_gain.dim() == 1 else d_gain[0])
        return self.gain.value * d_y


class RawError(Scale):
    def forward(self, x):
        return self.gain.value * x, x


class AssumesLayout(Scale):
    def backward(self, d_y, x):
        return super().backward(d_y, torch.as_strided(x, x.shape, (3, 1)))


class WrongWhenEmpty(Scale):
    def backward(self, d_y, x):
        self.gain.accumulate(torch.full((3,), 1e-3).to(x) if not len(x) else (d_y * x).reshape(-1, 3).sum(0))
        return self.gain.value * d_y


class WrongWhenSingle(Scale):
    def backward(self, d_y, x):
        d_x = super().backward(d_y, x)
        return d_x * 0 if len(x) == 1 else d_x


class DrawsElsewhere(Scale):
    def forward(self, x):
        return super().forward(x)[0] + random.random(), x


class HidesState(Scale):
    def __init__(self):
        super().__init__()
        self.offset = torch.rand(3)

    def forward(self, x):
        y, saved = super().forward(x)
        return y + self.offset.to(y), saved


LAYERS = [
    (HiddenAutograd, Scale, "no_autograd", "got a call of torch.autograd"),
    (GraphLeft, Scale, "no_autograd", "output must not be part of an autograd graph"),
    (ReadsModeAtBackward, SavesMode, "mode_at_backward", "the mode was switched before backward"),
    (IgnoresTrainable, Scale, "not_trainable", "gradient of gain must be None with trainable=False"),
    (LosesDtype, Scale, "float32", r"gradient of input\[0\] must be torch.float32 .* got torch.float64"),
    (MakesFloat32, Scale, "bfloat16", "output must be torch.bfloat16 .* got torch.float32"),
    (CentersBatch, CentersRow, "batch_invariance", "row 0 of output must be the same alone and in a batch"),
    (OnlyMatrices, Scale, "leading_dimensions", "must take additional leading axes .tag fixed_dimensions"),
    (SumsFirstAxisOnly, Scale, "leading_dimensions", "gradient of gain must match autograd"),
    (RawError, Scale, "bad_shapes", "must raise a ShapeError that names RawError, got RuntimeError"),
    (AssumesLayout, Scale, "non_contiguous", "gradient of gain must be the same for an input that is not contiguous"),
    (WrongWhenEmpty, Scale, "empty_batch", "gradient of gain must be zero for an empty batch, got 0.001"),
    (WrongWhenSingle, Scale, "single_row", r"gradient of input\[0\] must match autograd"),
    (DrawsElsewhere, Scale, "determinism", "output must be the same under the same seed"),
    (HidesState, Scale, "state_round_trip", "output must be the same after its state was loaded"),
]


@pytest.mark.parametrize(("wrong", "right", "check", "text"), LAYERS, ids=[one[0].__name__ for one in LAYERS])
def test_a_wrong_layer_fails_where_its_twin_passes(wrong, right, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(\): {check}: .*{text}.*reproduce: check_layer"):
        check_layer(wrong, X, checks=(check,))
    assert check_layer(right, X, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]


class Squared(Module):
    def forward(self, prediction, target):
        require_same_shape(self, prediction, target)
        return (prediction - target).square().sum(), prediction - target

    def backward(self, d_value, difference):
        return 2 * d_value * difference


class Broadcasts(Squared):
    def forward(self, prediction, target):
        return (prediction - target).square().sum(), prediction - target


def test_a_loss_that_broadcasts_its_target_fails():
    with pytest.raises(CheckError, match=r"target of \(4, 1\) must not be broadcast to the prediction, \(4, 3\)"):
        check_loss(Broadcasts, X, torch.randn(4, 3), checks=("no_broadcast",))
    assert check_loss(Squared, X, torch.randn(4, 3), checks=("no_broadcast",)).passed == ["train/no_broadcast"]


def test_an_opt_out_is_counted_and_must_be_needed():
    report = check_layer(RawError, X, opt_out={"bad_shapes": "torch says it well enough"})
    assert report.opted_out == dict.fromkeys(("train/bad_shapes", "eval/bad_shapes"), "torch says it well enough")
    assert "opted out: train/bad_shapes (torch says it well enough)" in str(report)
    with pytest.raises(CheckError, match=r"bad_shapes must fail, since it is opted out of .* remove the opt-out"):
        check_layer(Scale, X, opt_out={"bad_shapes": "torch says it well enough"})


def test_a_tag_turns_off_what_does_not_apply():
    report = check_layer(CentersBatch, X, tags=("mixes_batch",), modes=("train",))
    assert report.skipped["train/batch_invariance"] == "tag mixes_batch"
