"""A backward computes no gradient of a parameter that is not trained, and says what is wrong as before."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mytorch.core import DtypeError, ShapeError
from mytorch.nn import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, Linear

LAYERS = {
    "Linear": (lambda: Linear(5, 4), (3, 5)),
    "Linear, sequences": (lambda: Linear(5, 4), (2, 3, 5)),
    "Conv1d": (lambda: Conv1d(2, 3, 3), (4, 2, 7)),
    "Conv2d": (lambda: Conv2d(2, 3, 3, padding=1), (4, 2, 5, 6)),
    "Conv3d": (lambda: Conv3d(2, 3, 2), (4, 2, 4, 5, 3)),
    "ConvTranspose1d": (lambda: ConvTranspose1d(2, 3, 3), (4, 2, 7)),
    "ConvTranspose2d": (lambda: ConvTranspose2d(2, 3, 3), (4, 2, 5, 6)),
    "ConvTranspose3d": (lambda: ConvTranspose3d(2, 3, 2), (4, 2, 4, 5, 3)),
}


class Made(TorchDispatchMode):
    """Collects the shapes of all tensors that operators return."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        returned = result if isinstance(result, (tuple, list)) else [result]
        self.shapes += [tuple(each.shape) for each in returned if isinstance(each, torch.Tensor)]
        return result


def passed(layer, x, d_y):
    """d_x, and the shapes of what the backward made."""
    _, saved = layer.forward(x)
    with Made() as made:
        d_x = layer.backward(d_y, saved)
    return d_x, made.shapes


@pytest.mark.parametrize("input_grad", [True, False])
@pytest.mark.parametrize("untrained", [("weight",), ("bias",), ("weight", "bias")])
@pytest.mark.parametrize(("build", "shape"), LAYERS.values(), ids=LAYERS)
def test_gradients_of_what_is_not_trained_are_neither_computed_nor_kept(build, shape, untrained, input_grad):
    layer, x = build().double(), torch.randn(shape, dtype=torch.float64)
    layer.input_grad = input_grad
    d_y = torch.randn_like(layer(x))
    d_x, shapes = passed(layer, x, d_y)
    weight, bias = layer.weight.value.shape, layer.bias.value.shape
    assert weight in shapes
    wanted = {name: getattr(layer, name).grad for name in ("weight", "bias")}
    layer.zero_grad()
    for name in untrained:
        getattr(layer, name).trainable = False
    found, shapes = passed(layer, x, d_y)
    torch.testing.assert_close(found, d_x, rtol=0, atol=1e-12)
    for name, grad in wanted.items():
        if name in untrained:
            assert getattr(layer, name).grad is None
        else:
            torch.testing.assert_close(getattr(layer, name).grad, grad, rtol=0, atol=1e-12)
    assert (weight in shapes) is ("weight" not in untrained)
    if isinstance(layer, Linear):  # a convolution's kernel computes that of the bias by the way
        assert (bias in shapes) is ("bias" not in untrained)


@pytest.mark.parametrize("input_grad", [True, False])
@pytest.mark.parametrize(("build", "shape"), LAYERS.values(), ids=LAYERS)
def test_wrong_upstream_gradients_are_named_where_nothing_is_trained(build, shape, input_grad):
    layer, x = build(), torch.randn(shape)
    layer.input_grad = input_grad
    for parameter in layer.param():
        parameter.trainable = False
    y, saved = layer.forward(x)
    with pytest.raises(ShapeError, match="d_y must"):
        layer.backward(y[1:], saved)
    with pytest.raises(ShapeError, match="d_y must"):
        layer.backward(y[..., 1:], saved)
    with pytest.raises(DtypeError, match="d_y must"):
        layer.backward(y.double(), saved)
