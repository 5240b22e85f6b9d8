"""Layers that take an upstream gradient of another shape, beside right twins."""

import pytest
import torch

from mytorch.core import Module, Parameter, ShapeError, require_last_axis, require_upstream
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


class Broadcasts(Scale):
    """Takes one row, and one number, for all rows."""

    def backward(self, d_y, x):
        d_y = torch.as_tensor(0.0 if d_y is None else d_y, dtype=x.dtype)
        self.gain.accumulate((d_y * x).reshape(-1, 3).sum(0))
        return self.gain.value * d_y


class Raw(Scale):
    """Leaves it to torch, which says nothing of the layer."""

    def backward(self, d_y, x):
        if d_y is None or isinstance(d_y, float):
            raise ShapeError(f"Raw: d_y must be a tensor, got {d_y}")
        return self.gain.value * d_y.view(x.shape)


class Nameless(Scale):
    def backward(self, d_y, x):
        try:
            return super().backward(d_y, x)
        except ShapeError:
            raise ShapeError("wrong shape") from None


class ReadsBeyond(Scale):
    """A kernel that reads as many numbers as the output has, whatever it is given."""

    def backward(self, d_y, x):
        if d_y is None or isinstance(d_y, float):
            raise ShapeError(f"ReadsBeyond: d_y must be a tensor, got {d_y}")
        return super().backward(torch.as_strided(d_y, x.shape, (3, 1)), x)


class ByCount(Scale):
    """As many numbers are as good as the shape."""

    def backward(self, d_y, x):
        if not isinstance(d_y, torch.Tensor) or d_y.numel() != x.numel():
            raise ShapeError(f"ByCount: d_y must have {x.numel()} numbers")
        return super().backward(d_y.reshape(x.shape), x)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (Broadcasts, "d_output that is None must raise a ShapeError that names Broadcasts, .*, got a gradient; call"),
        (Raw, r"d_output of \(\) must raise a ShapeError .* the output has shape \(4, 3\), got RuntimeError: shape"),
        (Nameless, "the ShapeError for d_output that is None must name Nameless, got 'wrong shape'"),
        (ReadsBeyond, r"d_output of \(\) must raise a ShapeError that names ReadsBeyond, .*, got a gradient"),
        (ByCount, r"d_output of \(3, 4\) must raise a ShapeError that names ByCount, .*, got a gradient"),
    ],
)
def test_a_layer_that_takes_another_shape_fails(wrong, text):
    with pytest.raises(CheckError, match=f"{wrong.__name__}.*upstream_shape: .*{text}"):
        check_layer(wrong, X, checks=("upstream_shape",))
    assert check_layer(Scale, X, checks=("upstream_shape",)).passed == ["train/upstream_shape", "eval/upstream_shape"]


class TwoOutputs(Scale):
    """y and the square of x, either of which may not be used."""

    def forward(self, x):
        return (super().forward(x)[0], x.square()), x

    def backward(self, d_output, x):
        d_y, d_square = d_output
        for name, gradient in {"d_y": d_y, "d_square": d_square}.items():
            if gradient is not None:
                require_upstream(self, gradient, x.shape, name)
        d_x = torch.zeros_like(x) if d_y is None else super().backward(d_y, x)
        return d_x if d_square is None else d_x + 2 * x * d_square


class LooksAtTheFirst(TwoOutputs):
    def backward(self, d_output, x):
        d_y, d_square = d_output
        d_x = torch.zeros_like(x) if d_y is None else Scale.backward(self, d_y, x)
        return d_x if d_square is None else d_x + 2 * x * d_square


def test_each_of_several_outputs_is_asked_about():
    with pytest.raises(CheckError, match=r"upstream_shape: d_output\[1\] that is a number must raise a ShapeError"):
        check_layer(LooksAtTheFirst, X, checks=("upstream_shape",))
    report = check_layer(TwoOutputs, X, checks=("upstream_shape", "structure"), modes=("train",))
    assert report.passed == ["train/upstream_shape", "train/structure"]


def test_an_output_without_a_derivative_has_no_upstream_gradient():
    class OneHot(Module):
        def forward(self, index):
            return torch.nn.functional.one_hot(index, 3), None

        def backward(self, d_y, saved):
            return None

    report = check_layer(OneHot, torch.tensor([0, 2]), checks=("upstream_shape",), modes=("train",))
    assert report.skipped == {"train/upstream_shape": "its output has no derivative"}
