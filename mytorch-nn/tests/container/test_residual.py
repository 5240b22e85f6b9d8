import pytest
import torch

from mytorch.core import ArgumentError, AutogradError, ShapeError
from mytorch.nn import Dropout, Linear, Residual, Sequential, Tanh
from mytorch.testing import check_layer


class Twin(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


@pytest.mark.parametrize("shape", [(5, 3), (0, 3), (3,), (2, 4, 3)], ids=str)
def test_as_torch(agree, shape):
    inner = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh(), torch.nn.Dropout())
    agree(Residual(Sequential(Linear(3, 3), Tanh(), Dropout())), Twin(inner), torch.randn(shape))


def test_the_contract():
    check_layer(lambda: Residual(Residual(Linear(3, 3))), torch.randn(5, 3))


def test_input_grad_reaches_the_inner_layer():
    layer = Residual(Linear(3, 3))
    layer.input_grad = False
    assert not layer.inner.input_grad
    y, saved = layer.forward(torch.randn(5, 3))
    assert layer.backward(y, saved) is None
    assert layer.inner.weight.grad is not None


def test_bad_use():
    with pytest.raises(ShapeError) as caught:
        Residual(Linear(3, 1)).forward(torch.zeros(5, 3))
    assert str(caught.value) == "Residual: inner must keep the shape of its input, (5, 3), got (5, 1)"
    with pytest.raises(ShapeError, match="Residual: inner must keep the shape"):
        Residual(Linear(3, 1))(torch.zeros(5, 3))
    with pytest.raises(ArgumentError, match="Residual: child must be a Module, got the class Tanh"):
        Residual(Tanh)
    with pytest.raises(AutogradError, match="Residual: x must not require grad"):
        Residual(Tanh())(torch.zeros(3, requires_grad=True))
