import pytest
import torch

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.testing import check_layer

each_function = pytest.mark.parametrize("name", ["Softmax", "Softmin", "LogSoftmax", "GLU"])


@pytest.mark.parametrize("name", ["Softmax", "Softmin", "LogSoftmax"])
def test_a_number_without_axes(agree, name):
    agree(getattr(nn, name)(dim=0), getattr(torch.nn, name)(dim=0), torch.randn(()))


@each_function
def test_the_contract(name):
    check_layer(lambda: getattr(nn, name)(dim=-1), torch.randn(5, 4))
    check_layer(lambda: getattr(nn, name)(dim=1), torch.randn(2, 4, 3), tags=("fixed_dimensions",))


def test_the_contract_of_softmax_over_channels():
    check_layer(nn.Softmax2d, torch.randn(2, 3, 2, 2), tags=("fixed_dimensions",))


@each_function
@pytest.mark.parametrize("dim", [None, 1.0, True, "last"])
def test_an_axis_that_is_no_whole_number(name, dim):
    with pytest.raises(
        ArgumentError, match=f"{name}: dim must be a whole number, the axis along which the outputs add up to 1, got"
    ):
        getattr(nn, name)(dim=dim)


@each_function
def test_an_axis_that_is_not_there(name):
    with pytest.raises(ShapeError, match=rf"{name}: x must have an axis 2, got 2 axes in \(4, 4\)"):
        getattr(nn, name)(dim=2)(torch.randn(4, 4))
    with pytest.raises(DtypeError, match=f"{name}: x must be floating point, got torch.int64"):
        getattr(nn, name)(dim=0)(torch.ones(4, dtype=torch.int64))


def test_halves_of_an_odd_size():
    with pytest.raises(ShapeError, match=r"GLU: x must have an even size along axis -1, got \(4, 3\)"):
        nn.GLU()(torch.randn(4, 3))


def test_images_without_channels():
    with pytest.raises(ShapeError, match=r"Softmax2d: x must be \(channels, height, width\), with or without a batch"):
        nn.Softmax2d()(torch.randn(4, 3))


@each_function
def test_an_upstream_gradient_of_another_shape(name):
    layer = getattr(nn, name)(dim=-1)
    y, saved = layer.forward(torch.randn(4, 6))
    for shape in [(3, *y.shape[1:]), (4, 1), (), (y.shape[1], 4)]:
        with pytest.raises(ShapeError, match=f"{name}: d_y must have the shape of the output"):
            layer.backward(torch.randn(shape), saved)
