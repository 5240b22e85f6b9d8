"""What follows from the gradients of single samples of a convolution is the same without all windows at once."""

import pytest
import torch

from mytorch.core import ShapeError, kronecker
from mytorch.nn import Conv2d
from mytorch.nn.convolution import _window_products
from mytorch.nn.convolution._window_products import WindowProducts

pytestmark = pytest.mark.numbers
GEOMETRIES = {
    "plain": ((2, 3, 3), {}, (9, 8)),
    "uneven": ((2, 3, (2, 4)), {"padding": (1, 2), "bias": False}, (9, 11)),
    "steps": ((3, 2, (3, 2)), {"stride": (2, 3), "dilation": (1, 2), "padding": 1}, (15, 17)),
    "same": ((1, 2, (2, 3)), {"padding": "same", "padding_mode": "reflect", "dilation": 2}, (8, 9)),
    "one number": ((2, 3, 1), {}, (5, 6)),
}


def stated(geometry, batch=4, dtype=torch.float64):
    """What the layer states of its weight, and the same as sums of outer products."""
    torch.manual_seed(0)
    (arguments, options, size) = geometry
    layer = Conv2d(*arguments, **options).to(dtype)
    x = torch.randn(size[0], size[1], batch, arguments[0]).permute(2, 3, 0, 1).to(dtype)  # not contiguous
    y, saved = layer.forward(x)
    d_y = torch.randn(*y.shape[2:], *y.shape[:2]).permute(2, 3, 0, 1).to(dtype)
    found = layer.sample_gradients(d_y, saved, 0)["weight"].scaled(0.7)
    assert isinstance(found, WindowProducts)
    return found, found.outer_products()


def require_close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("at_once", [2**22, 1])
@pytest.mark.parametrize("batch", [4, 1, 0])
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_all_that_follows_is_as_from_all_windows(geometry, batch, at_once, monkeypatch):
    monkeypatch.setattr(_window_products, "AT_ONCE", at_once)
    found, wanted = stated(geometry, batch)
    assert found.sizes() == wanted.sizes()
    require_close(found.each(), wanted.each())
    require_close(found.squared_norms(), wanted.squared_norms())
    require_close(found.sum_of_squares(), wanted.sum_of_squares())
    weights, vector = torch.rand(batch).double(), torch.randn(wanted.sizes()[1:]).double()
    require_close(found.weighted_sum(weights), wanted.weighted_sum(weights))
    require_close(found.along(vector), wanted.along(vector))
    require_close(found.some(1, 3).each(), wanted.some(1, 3).each())
    require_close(found.some(1, 3).outer_products().each(), wanted.some(1, 3).each())
    if batch:
        require_close(found.products(found), wanted.products(wanted))
        require_close([*kronecker(found)], [*kronecker(wanted)])


@pytest.mark.parametrize("shape", [(4, 3, 2, 2), (4, 3, 9, 9), (4, 5, 7, 6)])
def test_gradients_that_do_not_fit_are_refused_before_a_kernel_sees_them(shape):
    layer = Conv2d(2, 3, 3)
    _, saved = layer.forward(torch.randn(4, 2, 9, 8))
    found = layer.sample_gradients(torch.randn(shape), saved, 0)["weight"]
    with pytest.raises(ShapeError, match=r"WindowProducts: d_y must have the shape \(4, 3, 7, 6\), got"):
        found.sizes()


def test_in_bfloat16():
    found, wanted = (stated(GEOMETRIES["steps"], dtype=dtype)[0] for dtype in (torch.bfloat16, torch.float64))
    weights = torch.rand(4).double()
    close = {"rtol": 0.03, "atol": 0.2}
    torch.testing.assert_close(found.squared_norms().double(), wanted.squared_norms(), **close)
    torch.testing.assert_close(found.weighted_sum(weights.bfloat16()).double(), wanted.weighted_sum(weights), **close)


def test_in_float32_as_in_float64():
    found, wanted = stated(GEOMETRIES["steps"], dtype=torch.float32)[0], stated(GEOMETRIES["steps"])[0]
    torch.testing.assert_close(found.squared_norms().double(), wanted.squared_norms(), rtol=1e-5, atol=1e-5)
