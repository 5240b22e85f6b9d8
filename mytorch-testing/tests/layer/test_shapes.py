"""Layers that do not say that a shape is wrong, beside right twins."""

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


class RawError(Scale):
    def forward(self, x):
        return self.gain.value * x, x


WRONG = [
    (RawError, Scale, "bad_shapes", "must raise a ShapeError that names RawError, got RuntimeError"),
]


@pytest.mark.parametrize(("wrong", "right", "check", "text"), WRONG, ids=[one[0].__name__ for one in WRONG])
def test_a_wrong_layer_fails_where_its_twin_passes(wrong, right, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(\): {check}: .*{text}.*reproduce: check_layer"):
        check_layer(wrong, X, checks=(check,))
    assert check_layer(right, X, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]
