"""Units of two values, with their true derivative and with one that takes its place."""

import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.nn import Heaviside, Linear, MSELoss, Sequential, Sign
from mytorch.testing import declare_layer

LOWER = {Heaviside: 0.0, Sign: -1.0}

both = pytest.mark.parametrize("unit", LOWER)

test_heaviside = declare_layer(Heaviside, (5, 3), reference=lambda parameters, x: (x >= 0).to(x.dtype) + 0 * x)
test_sign = declare_layer(Sign, (5, 3), reference=lambda parameters, x: 2 * (x >= 0).to(x.dtype) - 1 + 0 * x)


@both
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_two_values(unit, dtype):
    x = torch.tensor([-3.0, -1e-7, -0.0, 0.0, 1e-7, 3.0, float("inf"), -float("inf")], dtype=dtype)
    low = LOWER[unit]
    below = 1.0 if (x[1] == 0) else low  # float16 rounds it to 0
    assert unit()(x).tolist() == [low, below, 1.0, 1.0, 1.0, 1.0, 1.0, low]
    assert unit()(x).dtype is dtype


@both
def test_nan_stays_nan(unit):
    assert unit()(torch.tensor([float("nan"), 1.0])).isnan().tolist() == [True, False]


@both
def test_the_true_derivative_is_zero(unit):
    """A layer below it learns nothing by backpropagation, the one above does."""
    net, loss = Sequential(Linear(3, 4), unit(), Linear(4, 2)), MSELoss()
    y, saved = net.forward(torch.randn(5, 3))
    _, kept = loss.forward(y, torch.randn(5, 2))
    assert (net.backward(loss.backward(1.0, kept), saved) == 0).all()
    below, _, above = net
    assert (below.weight.grad == 0).all()
    assert (above.bias.grad != 0).any()


@both
def test_a_derivative_in_place_of_it(unit):
    x, d_y = torch.randn(5, 3), torch.randn(5, 3)
    layer = unit()
    _, saved = layer.forward(x)
    layer.jump_derivative = torch.cos
    d_x = layer.backward(d_y, saved)
    torch.testing.assert_close(d_x, d_y * x.cos(), rtol=0, atol=0)


@both
def test_no_gradient_of_the_data(unit):
    layer = unit()
    layer.input_grad = False
    _, saved = layer.forward(torch.randn(2, 3))
    assert layer.backward(torch.randn(2, 3), saved) is None


@both
def test_bad_calls(unit):
    name = unit.__name__
    with pytest.raises(DtypeError, match=f"{name}: x must be floating point, got torch.int64"):
        unit()(torch.tensor([1]))
    with pytest.raises(ShapeError, match=rf"{name}: d_y must have the shape of the output, \(2,\), got \(3,\)"):
        unit().backward(torch.randn(3), torch.randn(2))
    with pytest.raises(ArgumentError, match=f"{name}: saved must be a Tensor"):
        unit().backward(torch.randn(3), None)
