import pytest
import torch
from torch.nn import functional as F

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.nn.pooling import max_pool
from mytorch.testing import check_layer

KINDS = ["MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool"]
NAMES = [f"{kind}{axes}d" for kind in KINDS for axes in (1, 2, 3)]
each_layer = pytest.mark.parametrize("name", NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if "2d" in name])
def test_channels_last(agree, name):
    x = torch.randn(2, 3, 6, 5).to(memory_format=torch.channels_last)
    agree(getattr(nn, name)(2), getattr(torch.nn, name)(2), x)


@each_layer
def test_the_contract(name):
    shape = (2, 2, *(4,) * int(name[-2]))

    check_layer(lambda: getattr(nn, name)(2), torch.randn(shape), tags=("fixed_dimensions",))


@each_layer
@pytest.mark.parametrize("shape", [(), (4,), (2, 0, 4), (1, 1, 1, 1, 1, 1)], ids=str)
def test_shapes_that_do_not_fit(name, shape):
    with pytest.raises(ShapeError, match=f"{name}: x must have channels and {name[-2]} size"):
        getattr(nn, name)(2)(torch.randn(shape))


@each_layer
def test_integers(name):
    with pytest.raises(DtypeError, match=f"{name}: x must be floating point, got torch.int64"):
        getattr(nn, name)(2)(torch.zeros(1, *(4,) * int(name[-2]), dtype=torch.int64))


@pytest.mark.parametrize("name", ["MaxPool1d", "AvgPool2d", "MaxPool3d"])
def test_a_window_that_is_too_large(name):
    with pytest.raises(ShapeError, match=f"{name}: the window must not be larger than the padded x, got a span of 9"):
        getattr(nn, name)(9)(torch.randn(1, *(4,) * int(name[-2])))


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("MaxPool2d", {"kernel_size": 0}, "kernel_size must be a whole number of at least 1, or 2 of them, got 0"),
        ("MaxPool1d", {"kernel_size": 2.5}, "kernel_size must be a whole number of at least 1, got 2.5"),
        ("MaxPool2d", {"kernel_size": 3, "padding": 2}, "padding must be at most half of the window, 1, got 2"),
        ("AvgPool2d", {"kernel_size": 3, "stride": 0}, "stride must be a whole number of at least 1"),
        (
            "AvgPool3d",
            {"kernel_size": 3, "divisor_override": 0},
            "divisor_override must be a whole number other",
        ),
        (
            "AdaptiveAvgPool2d",
            {"output_size": (1, 2, 3)},
            "output_size must be 2 whole numbers of at least 0, or None",
        ),
        ("AdaptiveMaxPool1d", {"output_size": -1}, "output_size must be 1 whole number of at least 0, or None"),
        ("AdaptiveMaxPool1d", {"output_size": True}, "output_size must be 1 whole number of at least 0, or None"),
    ],
)
def test_arguments_that_do_not_fit(name, options, text):
    with pytest.raises(ArgumentError) as error:
        getattr(nn, name)(**options)
    assert str(error.value).startswith(f"{name}: {text}")


@each_layer
@pytest.mark.parametrize("change", [(0, -1), (-1, 1), (1, 1)], ids=str)
def test_an_upstream_gradient_of_another_shape(name, change):
    """A short or long one is refused before a kernel reads it."""
    layer = getattr(nn, name)(2)
    y, saved = layer.forward(torch.randn(2, 3, *(4,) * int(name[-2])))
    shape = list(y.shape)
    shape[change[0]] += change[1]
    with pytest.raises(ShapeError, match=f"{name}: d_y must have the shape of the output"):
        layer.backward(torch.randn(shape), saved)


@pytest.mark.parametrize("name", ["MaxPool2d", "AdaptiveMaxPool1d"])
def test_an_upstream_gradient_without_the_place_of_the_indices(name):
    layer = getattr(nn, name)(2, return_indices=True)
    (y, _), saved = layer.forward(torch.randn(2, 3, *(4,) * int(name[-2])))
    for d_output in (torch.randn_like(y), None, (torch.randn_like(y),), (None, None)):
        with pytest.raises(ShapeError, match=f"{name}: d_y must have the shape of the output"):
            layer.backward(d_output, saved)


@pytest.mark.parametrize("name", [f"Adaptive{kind}Pool{count}d" for kind in ("Avg", "Max") for count in (1, 2, 3)])
def test_an_output_of_size_0(name):
    count = int(name[-2])
    layer, x = getattr(nn, name)(0), torch.randn(2, 3, *(4,) * count)
    y, saved = layer.forward(x)
    assert y.shape == getattr(torch.nn, name)(0)(x).shape
    assert torch.equal(layer.backward(y, saved), torch.zeros_like(x))


@pytest.mark.parametrize("options", [{}, {"stride": 3, "padding": 1, "ceil_mode": True}, {"dilation": 2}], ids=str)
@pytest.mark.parametrize(("dimensions", "shape"), [(1, (4, 17, 501)), (2, (4, 17, 24, 21)), (2, (17, 64, 32))])
def test_the_largest_of_large_planes(dimensions, shape, options):
    """With equal values, and some that are not finite."""
    x = torch.randn(shape).mul_(2).round_()
    x.flatten()[:40:5], x.flatten()[50:90:5] = torch.nan, torch.inf
    assert max_pool._is_worth_a_copy(x.unsqueeze(-2) if dimensions == 1 else x, 2) is (len(shape) == dimensions + 2)
    arguments = {"kernel_size": 3, "return_indices": True} | options
    (y, indices), saved = getattr(nn, f"MaxPool{dimensions}d")(**arguments).forward(x)
    expected = getattr(F, f"max_pool{dimensions}d")(x, **arguments)
    torch.testing.assert_close((y, indices), expected, rtol=0, atol=0, equal_nan=True, check_stride=True)
    assert y.is_contiguous()
    leaf, d_y = x.clone().requires_grad_(), torch.randn(y.shape)
    getattr(F, f"max_pool{dimensions}d")(leaf, **arguments)[0].backward(d_y)
    d_x = getattr(nn, f"MaxPool{dimensions}d")(**arguments).backward((d_y, None), saved)
    torch.testing.assert_close(d_x, leaf.grad, rtol=0, atol=1e-6)
