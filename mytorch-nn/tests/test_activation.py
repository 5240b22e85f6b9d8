import pytest
import torch

from mytorch.core import AutogradError
from mytorch.nn import ReLU, Sigmoid, Tanh
from mytorch.testing import check_layer

LAYERS = [(ReLU, torch.nn.ReLU), (Tanh, torch.nn.Tanh), (Sigmoid, torch.nn.Sigmoid)]
SHAPES = [(5, 3), (0, 3), (1,), (), (2, 3, 4)]
each_layer = pytest.mark.parametrize(("layer", "twin"), LAYERS)


@each_layer
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_contract(layer, twin, shape):
    check_layer(layer, torch.randn(shape), modes=("train",))


@each_layer
def test_zero_infinity_and_nan_as_torch(agree, layer, twin):
    x = torch.tensor([0.0, -0.0, float("inf"), -float("inf")])
    agree(layer(), twin(), x)
    assert layer()(torch.tensor(float("nan"))).isnan()


def test_the_gradient_of_relu_at_zero_is_zero():
    layer = ReLU()
    _, saved = layer.forward(torch.zeros(3))
    assert torch.equal(layer.backward(torch.randn(3), saved), torch.zeros(3))


@each_layer
def test_only_the_output_is_saved(layer, twin):
    output, saved = layer().forward(torch.randn(3))
    assert saved is output


@each_layer
def test_input_grad_false(layer, twin):
    module = layer()
    module.input_grad = False
    y, saved = module.forward(torch.randn(3))
    assert module.backward(y, saved) is None


@each_layer
def test_bad_use(layer, twin):
    with pytest.raises(AutogradError, match=f"{layer.__name__}: x must not require grad"):
        layer().forward(torch.zeros(3, requires_grad=True))
    with pytest.raises(TypeError):
        layer(inplace=True)
