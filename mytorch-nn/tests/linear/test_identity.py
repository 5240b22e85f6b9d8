import torch

from mytorch.nn import Identity
from mytorch.testing import check_layer


def test_the_contract():
    check_layer(Identity, torch.randn(2, 3))


def test_input_grad_false():
    layer = Identity()
    layer.input_grad = False
    assert layer.backward(torch.ones(2), layer.forward(torch.ones(2))[1]) is None
