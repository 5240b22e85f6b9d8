"""A backward computes no gradient of a parameter that is not trained, and says what is wrong as before."""

import math

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from mytorch.core import DtypeError, ShapeError
from mytorch.nn import (
    GRU,
    LSTM,
    RNN,
    BatchNorm1d,
    Bilinear,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Embedding,
    EmbeddingBag,
    GroupNorm,
    GRUCell,
    InstanceNorm2d,
    LayerNorm,
    Linear,
    LSTMCell,
    MultiheadAttention,
    PReLU,
    RMSNorm,
    TransformerEncoderLayer,
)

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
ROWS, SEQUENCE, IMAGES = (4, 6), (5, 4, 6), (3, 4, 5, 5)
INDICES = torch.randint(5, (4, 3))
OTHERS = {
    "Bilinear": (lambda: Bilinear(6, 3, 5), (ROWS, (4, 3))),
    "PReLU": (lambda: PReLU(6), (ROWS,)),
    "BatchNorm1d": (lambda: BatchNorm1d(6), (ROWS,)),
    "InstanceNorm2d": (lambda: InstanceNorm2d(4, affine=True), (IMAGES,)),
    "GroupNorm": (lambda: GroupNorm(2, 4), (IMAGES,)),
    "LayerNorm": (lambda: LayerNorm(6), (ROWS,)),
    "RMSNorm": (lambda: RMSNorm(6), (ROWS,)),
    "Embedding": (lambda: Embedding(5, 3), (INDICES,)),
    "EmbeddingBag": (lambda: EmbeddingBag(5, 3), (INDICES,)),
    "RNN": (lambda: RNN(6, 5, 2, bidirectional=True), (SEQUENCE,)),
    "GRU": (lambda: GRU(6, 5), (SEQUENCE,)),
    "LSTM with a projection": (lambda: LSTM(6, 5, proj_size=2), (SEQUENCE,)),
    "LSTMCell": (lambda: LSTMCell(6, 5), (ROWS,)),
    "GRUCell": (lambda: GRUCell(6, 5), (ROWS,)),
    "attention to itself": (lambda: MultiheadAttention(6, 2), (SEQUENCE,)),
    "attention to another": (lambda: MultiheadAttention(6, 2, kdim=4, vdim=3), (SEQUENCE, (7, 4, 4), (7, 4, 3))),
    "attention with an extra key": (lambda: MultiheadAttention(6, 2, add_bias_kv=True), (SEQUENCE,)),
    "TransformerEncoderLayer": (lambda: TransformerEncoderLayer(6, 2, 8, dropout=0.0), (SEQUENCE,)),
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


def pulled_back(layer, inputs):
    """The gradients of the inputs, and how many numbers the backward made."""
    layer.zero_grad()
    output, saved = layer.forward(*inputs)
    torch.manual_seed(1)
    upstream = tree_map(lambda each: torch.randn_like(each) if isinstance(each, Tensor) else each, output)
    with Made() as made:
        d_inputs = layer.backward(upstream, saved)
    return [each for each in tree_leaves(d_inputs) if each is not None], sum(map(math.prod, made.shapes))


@pytest.mark.parametrize(("build", "inputs"), OTHERS.values(), ids=OTHERS)
def test_each_parameter_that_is_not_trained_leaves_fewer_numbers_to_be_made(build, inputs):
    torch.manual_seed(0)
    layer, inputs = build(), [each if isinstance(each, Tensor) else torch.randn(each) for each in inputs]
    expected, numbers = pulled_back(layer, inputs)
    assert all(parameter.grad is not None for parameter in layer.param())
    for parameter in layer.param():
        parameter.trainable = False
        before, (found, numbers) = numbers, pulled_back(layer, inputs)
        assert numbers < before
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert all(parameter.grad is None for parameter in layer.param())
