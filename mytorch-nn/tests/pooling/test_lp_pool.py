import pytest
import torch

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.testing import check_layer

each_layer = pytest.mark.parametrize("name", ["LPPool1d", "LPPool2d", "LPPool3d"])
INF = float("inf")


@each_layer
def test_windows_of_zeros_have_no_gradient(agree, name):
    x = torch.randn(2, 3, *(4,) * int(name[-2]))
    x[0, 1] = 0
    for p in (2.0, 4.0, INF):
        agree(getattr(nn, name)(p, 2), getattr(torch.nn, name)(p, 2), x)


@each_layer
@pytest.mark.parametrize("p", [3.0, INF, -INF])
def test_the_contract(name, p):
    x = torch.rand(2, 2, *(4,) * int(name[-2])) + 0.1
    check_layer(lambda: getattr(nn, name)(p, 2), x, tags=("fixed_dimensions",))


@each_layer
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"norm_type": 0}, "norm_type must not be 0, since 1 / p is the norm's power, got 0"),
        ({"norm_type": "2"}, "norm_type must be a number, got '2'"),
        ({"kernel_size": 0}, "kernel_size must be a whole number of at least 1"),
        ({"stride": 0}, "stride must be a whole number of at least 1"),
    ],
)
def test_arguments_that_do_not_fit(name, options, text):
    with pytest.raises(ArgumentError) as caught:
        getattr(nn, name)(**{"norm_type": 2, "kernel_size": 2, **options})
    assert str(caught.value).startswith(f"{name}: {text}")


@each_layer
def test_inputs_that_do_not_fit(name):
    layer, shape = getattr(nn, name)(2, 5), (1, 1, *(4,) * int(name[-2]))
    with pytest.raises(ShapeError, match=f"{name}: the window must not be larger than the padded x"):
        layer.forward(torch.randn(shape))
    with pytest.raises(ShapeError, match=f"{name}: x must have channels and {name[-2]} size"):
        layer.forward(torch.randn(4))
    with pytest.raises(DtypeError, match=rf"{name}: x must be floating point, got torch\.int64"):
        layer.forward(torch.zeros(shape, dtype=torch.int64))


def test_a_window_that_goes_beyond_the_end_in_three_dimensions():
    x = torch.randn(1, 4, 4, 4)
    with pytest.raises(
        ShapeError, match=r"^LPPool3d: the window must not be larger than x itself, got \(5, 5, 5\) for"
    ):
        nn.LPPool3d(2, 5, ceil_mode=True).forward(x)
    assert nn.LPPool3d(INF, 5, ceil_mode=True)(x) == x.abs().max()


@each_layer
@pytest.mark.parametrize("p", [2.0, INF])
def test_gradients_and_saved_values_that_do_not_fit(name, p):
    layer = getattr(nn, name)
    y, saved = layer(p, 2).forward(torch.randn(1, 2, *(5,) * int(name[-2])))
    with pytest.raises(ShapeError, match=f"{name}: d_y must have the shape of the output"):
        layer(p, 2).backward(y[..., :1], saved)
    for other in (layer(3.0, 2), layer(p, 3)):
        with pytest.raises(ArgumentError, match=f"{name}: saved must be that of a layer with norm_type, kernel_size"):
            other.backward(y, saved)
