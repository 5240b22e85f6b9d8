"""Layers that treat the rows of a batch wrongly, beside right twins."""

import pytest
import torch

from mytorch.core import Module, Parameter, ShapeError, require_last_axis
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


class WrongWhenEmpty(Scale):
    def backward(self, d_y, x):
        self.gain.accumulate(torch.full((3,), 1e-3).to(x) if not len(x) else (d_y * x).reshape(-1, 3).sum(0))
        return self.gain.value * d_y


class WrongWhenSingle(Scale):
    def backward(self, d_y, x):
        d_x = super().backward(d_y, x)
        return d_x * 0 if len(x) == 1 else d_x


WRONG = [
    (CentersBatch, CentersRow, "batch_invariance", "row 0 of output must be the same alone and in a batch"),
    (OnlyMatrices, Scale, "leading_dimensions", "must take additional leading axes .tag fixed_dimensions"),
    (SumsFirstAxisOnly, Scale, "leading_dimensions", "gradient of gain must match autograd"),
    (WrongWhenEmpty, Scale, "empty_batch", "gradient of gain must be zero for an empty batch, got 0.001"),
    (WrongWhenSingle, Scale, "single_row", r"gradient of input\[0\] must match autograd"),
]


@pytest.mark.parametrize(("wrong", "right", "check", "text"), WRONG, ids=[one[0].__name__ for one in WRONG])
def test_a_wrong_layer_fails_where_its_twin_passes(wrong, right, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(\): {check}: .*{text}.*reproduce: check_layer"):
        check_layer(wrong, X, checks=(check,))
    assert check_layer(right, X, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]


def test_a_tag_turns_off_what_does_not_apply():
    report = check_layer(CentersBatch, X, tags=("mixes_batch",), modes=("train",))
    assert report.skipped["train/batch_invariance"] == "tag mixes_batch"
