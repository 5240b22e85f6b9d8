"""Modules that lose parameters, dtypes or state, beside right twins."""

import pytest
import torch

from mytorch.core import Module, Parameter, require_dtype, require_last_axis
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


class DropsParameter(Scale):
    def param(self):
        return [self.gain]


class ListsTwice(Scale):
    def param(self):
        return [self.gain, self.bias, self.gain]


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


class SumsInFloat32(Scale):
    """The right twin of mixed precision: sums over rows in float32 at least, and accumulate converts."""

    def backward(self, d_y, x):
        wide = torch.promote_types(d_y.dtype, torch.float32)
        self.gain.accumulate((d_y.to(wide) * x).reshape(-1, 3).sum(0))
        self.bias.accumulate(d_y.to(wide).reshape(-1, 3).sum(0))
        return self.gain.value * d_y


class KeepsFloat32(SumsInFloat32):
    """Puts the sum into the parameter by itself."""

    def backward(self, d_y, x):
        before, d_x = self.bias.grad, super().backward(d_y, x)
        d_bias = d_y.to(torch.promote_types(d_y.dtype, torch.float32)).reshape(-1, 3).sum(0)
        self.bias.grad = d_bias if before is None else before + d_bias
        return d_x


class AnyUpstream(SumsInFloat32):
    """The right twin: refuses nothing, and computes in the dtype of the parameters."""

    def backward(self, d_y, x):
        return super().backward(d_y.to(x.dtype), x)


class RefusesUpstream(Scale):
    """The other right twin: silence is wrong, an error is not."""

    def backward(self, d_y, x):
        require_dtype(self, d_y, x.dtype, "d_y")
        return super().backward(d_y, x)


class KeepsTheirDtype(Scale):
    """Puts a sum in the dtype of the upstream gradient into the parameter by itself."""

    def backward(self, d_y, x):
        self.gain.accumulate((d_y * x).sum(0))
        d_bias = d_y.sum(0)
        self.bias.grad = d_bias if self.bias.grad is None else self.bias.grad + d_bias
        return self.gain.value * d_y


class ReadsMemory(Scale):
    """Reads the numbers of d_y as if they had the dtype of x, as a raw kernel does."""

    def backward(self, d_y, x):
        if d_y.dtype is not x.dtype:
            d_y = torch.cat([d_y, d_y], -1).view(x.dtype)
        return super().backward(d_y, x)


class HidesState(Scale):
    def __init__(self):
        super().__init__()
        self.offset = torch.rand(3)

    def forward(self, x):
        y, saved = super().forward(x)
        return y + self.offset.to(y), saved


WRONG = [
    (DropsParameter, Scale, "listed_once", r"param\(\) must list bias, got only 1 of 2 parameters"),
    (ListsTwice, Scale, "listed_once", r"param\(\) must list each parameter once, got 3 of 2 different"),
    (IgnoresTrainable, Scale, "not_trainable", "gradient of gain must be None with trainable=False"),
    (LosesDtype, Scale, "float32", r"gradient of x must be \(4, 3\) torch.float32 .* got \(4, 3\) torch.float64"),
    (MakesFloat32, Scale, "bfloat16", "output must be torch.bfloat16 .* got torch.float32"),
    (
        KeepsFloat32,
        SumsInFloat32,
        "bfloat16",
        "gradient of bias must be torch.bfloat16 where inputs and parameters are, got torch.float32",
    ),
    (
        KeepsTheirDtype,
        RefusesUpstream,
        "upstream_dtype",
        "gradient of bias must have the dtype of bias, torch.float64, got torch.float32: use Parameter.accumulate",
    ),
    (
        ReadsMemory,
        AnyUpstream,
        "upstream_dtype",
        "gradient of x must be that of the same numbers where the upstream gradient is float32",
    ),
    (HidesState, Scale, "state_round_trip", "output must be the same after its state was loaded"),
]


@pytest.mark.parametrize(("wrong", "right", "check", "text"), WRONG, ids=[one[0].__name__ for one in WRONG])
def test_a_wrong_layer_fails_where_its_twin_passes(wrong, right, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(\): {check}: .*{text}.*reproduce: check_layer"):
        check_layer(wrong, X, checks=(check,))
    assert check_layer(right, X, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]


class Noisy(Scale):
    """A layer with parameters that draws: y = gain * x * noise + bias, with the noise saved."""

    def forward(self, x):
        noise = torch.rand_like(x)
        y, scaled = super().forward(x * noise)
        return y, (scaled, noise)

    def backward(self, d_y, saved):
        scaled, noise = saved
        return super().backward(d_y, scaled) * noise


@pytest.mark.parametrize("check", ["state_round_trip", "description_round_trip"])
def test_a_copy_of_a_layer_that_draws_is_given_the_same_draws(check):
    assert check_layer(Noisy, X, checks=[check]).passed == [f"train/{check}", f"eval/{check}"]
