"""Layers that make tensors elsewhere, hold on to them, lose parameters or cannot be traced, beside right twins."""

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


class HoldsOn(Scale):
    seen = []  # noqa: RUF012

    def forward(self, x):
        y, saved = super().forward(x)
        self.seen.append(y * 2)
        return y, saved


class DropsParameter(Scale):
    def param(self):
        return [self.gain]


class ListsTwice(Scale):
    def param(self):
        return [self.gain, self.bias, self.gain]


class Replaces(Scale):
    """Two backwards of one forward each, of which the second forgets the first."""

    def backward(self, d_y, x):
        d_x = super().backward(d_y, x)
        self.gain.grad = (d_y * x).reshape(-1, 3).sum(0)
        return d_x


class MakesOnCpu(Scale):
    def backward(self, d_y, x):
        super().backward(d_y, x)
        return self.gain.value * d_y + torch.zeros(3)


class GradientOnCpu(Scale):
    def backward(self, d_y, x):
        super().backward(d_y, x)
        return torch.zeros(x.shape, dtype=x.dtype)


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


class AsksForNumbers(Scale):
    def forward(self, x):
        if x.sum().item() > 1e6:
            return super().forward(x * 1.0)
        return super().forward(x)


WRONG = [
    (HoldsOn, "nothing_alive", r"must keep nothing but its output alive, got a tensor of \(4, 3\) that still is"),
    (DropsParameter, "listed_once", r"param\(\) must list bias, got only 1 of 2 parameters"),
    (ListsTwice, "listed_once", r"param\(\) must list each parameter once, got 3 of 2 different"),
    (Replaces, "shared_module", "gradient of gain must be the sum over both uses of a shared module"),
    (IgnoresMode, "quiet_evaluation", "output must be the same from a second forward in evaluation mode"),
    (CountsInEvaluation, "quiet_evaluation", "buffer seen must stay what it is in evaluation mode"),
    (GradientOnCpu, "device", r"gradient of input must be on the device of inputs and parameters, meta, got cpu"),
    (MakesOnCpu, "device", "every tensor must be made on the device of the input"),
    (AsksForNumbers, "traceable", r"must be one graph of torch.compile .tag not_traceable otherwise., got"),
]


@pytest.mark.parametrize(("wrong", "check", "text"), WRONG, ids=[one[0].__name__ for one in WRONG])
def test_a_wrong_layer_fails_where_its_twin_passes(wrong, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(\): {check}: .*{text}.*reproduce: check_layer"):
        check_layer(wrong, X, checks=(check,))
    assert check_layer(Scale, X, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]


class TwoOutputs(Scale):
    """y and the square of x, either of which may not be used."""

    def forward(self, x):
        return (super().forward(x)[0], x.square()), x

    def backward(self, d_output, x):
        d_y, d_square = d_output
        d_x = None if d_y is None else super().backward(d_y, x)
        if d_square is None:
            return d_x
        return 2 * x * d_square if d_x is None else d_x + 2 * x * d_square


class NeedsBoth(TwoOutputs):
    def backward(self, d_output, x):
        d_y, d_square = d_output
        return Scale.backward(self, d_y, x) + 2 * x * d_square


def test_an_output_that_was_not_used_counts_as_zeros():
    text = "structure: backward must take None upstream of output 0, which was not used, got TypeError"
    with pytest.raises(CheckError, match=text):
        check_layer(NeedsBoth, X, checks=("structure",))
    assert check_layer(TwoOutputs, X, checks=("structure",)).passed == ["train/structure", "eval/structure"]


def test_what_looks_at_values_is_not_asked_about_devices():
    report = check_layer(AsksForNumbers, X, checks=("device",), modes=("train",))
    assert report.skipped == {"train/device": "it looks at the values of its input"}


def test_a_tag_says_that_a_layer_cannot_be_traced():
    report = check_layer(AsksForNumbers, X, tags=("not_traceable",), modes=("train",), checks=("traceable",))
    assert report.skipped == {"train/traceable": "tag not_traceable"}
