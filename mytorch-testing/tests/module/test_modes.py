"""Modules that depend on mode, randomness or autograd where they must not, beside right twins."""

import random

import pytest
import torch

from mytorch.core import Buffer, Module, Parameter, require_last_axis
from mytorch.testing import CheckError, check_layer

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Scale(Module):
    """The right twin: y = gain * x + bias."""

    def __init__(self):
        self.gain, self.bias = Parameter(torch.rand(3)), Parameter(torch.rand(3))

    def forward(self, x):
        require_last_axis(self, x, 3)
        return self.gain.value * x + self.bias.value, x

    def backward(self, d_y, x):
        self.gain.accumulate((d_y * x).reshape(-1, 3).sum(0))
        self.bias.accumulate(d_y.reshape(-1, 3).sum(0))
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


class DrawsElsewhere(Scale):
    def forward(self, x):
        return super().forward(x)[0] + random.random(), x


class IgnoresMode(Scale):
    """Noise that evaluation does not turn off."""

    def forward(self, x):
        y, saved = super().forward(x)
        return y + torch.randn_like(y), saved


class CountsInEvaluation(Scale):
    def __init__(self):
        super().__init__()
        self.seen = Buffer(torch.zeros(()))

    def forward(self, x):
        self.seen.value = self.seen.value + len(x)
        return super().forward(x)


WRONG = [
    (HiddenAutograd, Scale, "no_autograd", "got a call of torch.autograd"),
    (GraphLeft, Scale, "no_autograd", "output must not be part of an autograd graph"),
    (ReadsModeAtBackward, SavesMode, "mode_at_backward", "the mode was switched before backward"),
    (DrawsElsewhere, Scale, "determinism", "output must be the same under the same seed"),
    (IgnoresMode, Scale, "quiet_evaluation", "output must be the same from a second forward in evaluation mode"),
    (CountsInEvaluation, Scale, "quiet_evaluation", "buffer seen must stay what it is in evaluation mode"),
]


@pytest.mark.parametrize(("wrong", "right", "check", "text"), WRONG, ids=[one[0].__name__ for one in WRONG])
def test_a_wrong_layer_fails_where_its_twin_passes(wrong, right, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(\): {check}: .*{text}.*reproduce: check_layer"):
        check_layer(wrong, X, checks=(check,))
    assert check_layer(right, X, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]
