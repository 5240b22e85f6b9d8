"""Modules that make tensors elsewhere or cannot be traced, beside right twins."""

import pytest
import torch

from mytorch.core import Module, Parameter, require_last_axis
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


class MakesOnCpu(Scale):
    def backward(self, d_y, x):
        super().backward(d_y, x)
        return self.gain.value * d_y + torch.zeros(3)


class GradientOnCpu(Scale):
    def backward(self, d_y, x):
        super().backward(d_y, x)
        return torch.zeros(x.shape, dtype=x.dtype)


class AsksForNumbers(Scale):
    def forward(self, x):
        if x.sum().item() > 1e6:
            return super().forward(x * 1.0)
        return super().forward(x)


WRONG = [
    (MakesOnCpu, Scale, "device", "every tensor must be made on the device of the input"),
    (
        GradientOnCpu,
        Scale,
        "device",
        r"gradient of input must be on the device of inputs and parameters, meta, got cpu",
    ),
    (AsksForNumbers, Scale, "traceable", r"must be one graph of torch.compile .tag not_traceable otherwise., got"),
]


@pytest.mark.parametrize(("wrong", "right", "check", "text"), WRONG, ids=[one[0].__name__ for one in WRONG])
def test_a_wrong_layer_fails_where_its_twin_passes(wrong, right, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(\): {check}: .*{text}.*reproduce: check_layer"):
        check_layer(wrong, X, checks=(check,))
    assert check_layer(right, X, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]


def test_what_looks_at_values_is_not_asked_about_devices():
    report = check_layer(AsksForNumbers, X, checks=("device",), modes=("train",))
    assert report.skipped == {"train/device": "it looks at the values of its input"}


def test_a_tag_says_that_a_layer_cannot_be_traced():
    report = check_layer(AsksForNumbers, X, tags=("not_traceable",), modes=("train",), checks=("traceable",))
    assert report.skipped == {"train/traceable": "tag not_traceable"}
