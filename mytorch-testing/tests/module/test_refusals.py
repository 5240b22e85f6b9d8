"""Modules that take what they cannot differentiate, beside right twins."""

import pytest
import torch

from mytorch.core import ArgumentError, AutogradError, Module, require_input
from mytorch.testing import CheckError, check_layer

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Double(Module):
    """The right twin: y = 2 * x."""

    def forward(self, x):
        require_input(self, x)
        return 2 * x, None

    def backward(self, d_y, saved):
        return 2 * d_y


class TakesAnything(Double):
    def forward(self, x):
        return 2 * torch.as_tensor(x), None


class RawError(Double):
    def forward(self, x):
        return 2 * x.clone(), None


class Nameless(Double):
    def forward(self, x):
        if not isinstance(x, torch.Tensor):
            raise ArgumentError("input must be a tensor")
        return super().forward(x)


class RefusesTwice(Double):
    """Refuses what requires grad where autograd is off, too."""

    def forward(self, x):
        if isinstance(x, torch.Tensor) and x.requires_grad:
            raise AutogradError("RefusesTwice: x must not require grad")
        return super().forward(x)


@pytest.mark.parametrize(
    ("wrong", "check", "text"),
    [
        (
            TakesAnything,
            "no_tensor",
            "a list as input must raise an error of the project, got an output; call require_in",
        ),
        (RawError, "no_tensor", "a list as input must raise an error of the project, got (AttributeError|TypeError)"),
        (Nameless, "no_tensor", "the error for a list must name Nameless, got 'input must be a tensor'"),
        (
            TakesAnything,
            "requires_grad",
            "an input that requires grad must raise an AutogradError while grad mode is on",
        ),
        (RefusesTwice, "requires_grad", r"forward\(x: \(4, 3\) float64\) must not raise, got AutogradError"),
    ],
)
def test_a_wrong_layer_fails_where_its_twin_passes(wrong, check, text):
    with pytest.raises(CheckError, match=f"{wrong.__name__}.*{check}: .*{text}"):
        check_layer(wrong, X, checks=(check,))
    assert check_layer(Double, X, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]


class Sum(Module):
    def forward(self, x, other):
        require_input(self, x)
        require_input(self, other, "other")
        return x + other, None

    def backward(self, d_y, saved):
        return d_y, d_y


class LooksAtTheFirst(Sum):
    def forward(self, x, other):
        require_input(self, x)
        return x + torch.as_tensor(other), None


def test_each_of_several_inputs_is_asked_about():
    for check in ("no_tensor", "requires_grad"):
        with pytest.raises(CheckError, match=check):
            check_layer(LooksAtTheFirst, X, X, checks=(check,))
        assert check_layer(Sum, X, X, checks=(check,), modes=("train",)).passed == [f"train/{check}"]
