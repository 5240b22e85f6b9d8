"""Modules that assume how a tensor lies in memory, beside right twins."""

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


class AssumesLayout(Scale):
    def backward(self, d_y, x):
        return super().backward(d_y, torch.as_strided(x, x.shape, (3, 1)))


class OnlyInFloat32(Scale):
    """A path that exists in one dtype only, and reads memory in its order there."""

    def backward(self, d_y, x):
        if x.dtype is torch.float32:
            x = torch.as_strided(x, x.shape, (3, 1))
        return super().backward(d_y, x)


class OutputInMemoryOrder(Scale):
    def forward(self, x):
        if x.dtype is not torch.float32:
            return super().forward(x)
        return super().forward(torch.as_strided(x, x.shape, (3, 1)))[0], x


class ReadsBehindUpstream(Scale):
    """Takes an upstream gradient for one that lies row after row."""

    def backward(self, d_y, x):
        return super().backward(torch.as_strided(d_y, d_y.shape, (3, 1)), x)


class ReadsParameterInOrder(Scale):
    def forward(self, x):
        gain = torch.as_strided(self.gain.value, (3,), (1,))
        return gain * x + self.bias.value, x


class TrustsItsWeights(Scale):
    """Takes the quick way, which reads its parameter in the order of memory, where the input lies row after row."""

    def backward(self, d_y, x):
        d_x = super().backward(d_y, x)
        return torch.as_strided(self.gain.value, (3,), (1,)) * d_y if d_y.is_contiguous() else d_x


WRONG = [
    (TrustsItsWeights, Scale, "non_contiguous", "gradient of x must be the same for parameters that are strided"),
    (AssumesLayout, Scale, "non_contiguous", "gradient of gain must be the same for tensors that are strided"),
    (ReadsBehindUpstream, Scale, "non_contiguous", "gradient of x must be the same for tensors that are strided"),
    (
        ReadsBehindUpstream,
        Scale,
        "expanded_upstream",
        "gradient of x must be the same for an upstream gradient",
    ),
    (OnlyInFloat32, Scale, "float32_non_contiguous", "gradient of gain must be close to that of float64 for tensors"),
    (OutputInMemoryOrder, Scale, "float32_non_contiguous", "output must be close to that of float64 for tensors"),
    (ReadsParameterInOrder, Scale, "float32_non_contiguous", "output must be close to that of float64 for tensors"),
]


@pytest.mark.parametrize(
    ("wrong", "right", "check", "text"), WRONG, ids=[f"{one[0].__name__}-{one[2]}" for one in WRONG]
)
def test_a_wrong_layer_fails_where_its_twin_passes(wrong, right, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(\): {check}: .*{text}.*reproduce: check_layer"):
        check_layer(wrong, X, checks=(check,))
    assert check_layer(right, X, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]


def test_float64_alone_does_not_see_a_path_of_float32():
    assert check_layer(OnlyInFloat32, X, modes=("train",), checks=("non_contiguous", "float32")).passed


class Noisy(Scale):
    """torch draws in the order of memory, so that a transposed input gets other noise at the same place."""

    def forward(self, x):
        return super().forward(x)[0] + torch.rand_like(x), x


def test_a_random_layer_is_compared_where_memory_has_one_order():
    assert check_layer(Noisy, X, modes=("train",), checks=("non_contiguous",)).passed == ["train/non_contiguous"]
