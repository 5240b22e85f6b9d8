"""Modules that break the rules by which values are passed, beside right twins."""

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


class Replaces(Scale):
    """Two backwards of one forward each, of which the second forgets the first."""

    def backward(self, d_y, x):
        d_x = super().backward(d_y, x)
        self.gain.grad = (d_y * x).reshape(-1, 3).sum(0)
        return d_x


WRONG = [
    (Replaces, Scale, "shared_module", "gradient of gain must be the sum over both uses of a shared module"),
]


@pytest.mark.parametrize(("wrong", "right", "check", "text"), WRONG, ids=[one[0].__name__ for one in WRONG])
def test_a_wrong_layer_fails_where_its_twin_passes(wrong, right, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(\): {check}: .*{text}.*reproduce: check_layer"):
        check_layer(wrong, X, checks=(check,))
    assert check_layer(right, X, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]


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
