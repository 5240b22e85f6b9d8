import pytest
import torch

from mytorch import nn
from mytorch.core import ArgumentError, ShapeError
from mytorch.testing import check_layer

each_dimension = pytest.mark.parametrize("axes", [1, 2, 3])


@pytest.mark.parametrize("output_size", [(9, 10), (10, 9), (2, 4, 9, 9)], ids=str)
def test_an_output_size(agree, output_size):
    x = torch.randn(2, 3, 5, 5)
    options = {"kernel_size": 3, "stride": 2, "padding": 1}
    agree(
        nn.ConvTranspose2d(3, 4, **options),
        torch.nn.ConvTranspose2d(3, 4, **options),
        x,
        options={"output_size": output_size},
    )


@each_dimension
def test_the_contract(axes):
    layer = getattr(nn, f"ConvTranspose{axes}d")
    check_layer(lambda: layer(2, 3, 2, stride=2), torch.randn(2, 2, *(2,) * axes), tags=("fixed_dimensions",))


def test_an_output_size_out_of_reach():
    layer = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1)
    with pytest.raises(ShapeError, match=r"ConvTranspose2d: output_size must lie between \(9, 9\) and \(10, 10\)"):
        layer.forward(torch.randn(2, 3, 5, 5), output_size=(11, 9))
    with pytest.raises(ShapeError, match="ConvTranspose2d: output_size must lie between"):
        layer.forward(torch.randn(2, 3, 5, 5), output_size=(9,))


def test_an_output_without_values():
    with pytest.raises(ShapeError, match="ConvTranspose1d: x must be large enough for an output that is not empty"):
        nn.ConvTranspose1d(1, 1, 1, padding=2)(torch.randn(1, 1, 3))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"output_padding": 1}, "output_padding must be below stride or dilation, 1, got 1"),
        ({"padding_mode": "reflect"}, "padding_mode must be one of zeros, got 'reflect'"),
        ({"groups": 2}, "groups must divide in_channels and out_channels"),
    ],
    ids=str,
)
def test_arguments_that_do_not_fit(options, text):
    with pytest.raises(ArgumentError, match=f"ConvTranspose2d: {text}"):
        nn.ConvTranspose2d(3, 4, 3, **options)


@pytest.mark.parametrize("shape", [(1,), (2, 4, 6, 7), (1, 4, 7, 7)], ids=str)
def test_an_upstream_gradient_of_another_shape(shape):
    layer = nn.ConvTranspose2d(3, 4, 3)
    _, saved = layer.forward(torch.randn(2, 3, 5, 5))
    with pytest.raises(
        ShapeError, match=r"ConvTranspose2d: d_y must have the shape of the output, \(2, 4, 7, 7\), got"
    ):
        layer.backward(torch.randn(shape), saved)
