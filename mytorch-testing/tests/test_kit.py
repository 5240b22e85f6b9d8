"""How checks are run: opt-outs, and what a run says of itself."""

import pytest
import torch

from mytorch.core import Module, Parameter, require_input, require_last_axis, require_upstream
from mytorch.testing import CheckError, check_layer

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Scale(Module):
    """The right twin: y = gain * x."""

    def __init__(self):
        self.gain = Parameter(torch.rand(3))

    def forward(self, x):
        require_last_axis(self, x, 3)
        return self.gain.value * x, x

    def backward(self, d_y, x):
        require_upstream(self, d_y, x.shape)
        self.gain.accumulate((d_y * x).reshape(-1, 3).sum(0))
        return self.gain.value * d_y


class RawError(Scale):
    def forward(self, x):
        require_input(self, x)
        return self.gain.value * x, x


def test_an_opt_out_is_counted_and_must_be_needed():
    report = check_layer(RawError, X, opt_out={"bad_shapes": "torch says it well enough"})
    assert report.opted_out == dict.fromkeys(("train/bad_shapes", "eval/bad_shapes"), "torch says it well enough")
    assert "opted out: train/bad_shapes (torch says it well enough)" in str(report)
    with pytest.raises(CheckError, match=r"bad_shapes must fail, since it is opted out of .* remove the opt-out"):
        check_layer(Scale, X, opt_out={"bad_shapes": "torch says it well enough"})
