import pytest
import torch

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError

each_layer = pytest.mark.parametrize("name", ["MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"])


@each_layer
def test_the_size_that_follows_from_the_geometry(agree, name):
    axes = int(name[-2])
    shape = (2, 3, *(3,) * axes)
    places = torch.stack([torch.randperm(5**axes)[: 3**axes] for _ in range(6)]).reshape(shape)
    agree(getattr(nn, name)(3, 2, 1), getattr(torch.nn, name)(3, 2, 1), torch.randn(shape), places)


@each_layer
def test_no_rows(name):
    layer, shape = getattr(nn, name)(2), (0, 3, *(2,) * int(name[-2]))
    y, saved = layer.forward(torch.zeros(shape), torch.zeros(shape, dtype=torch.int64))
    assert y.shape == (0, 3, *(4,) * int(name[-2]))
    assert layer.backward(torch.zeros(y.shape), saved)[0].shape == shape


@each_layer
@pytest.mark.parametrize("index", [-1, 10**6])
def test_an_index_beyond_the_output(name, index):
    axes = int(name[-2])
    indices = torch.zeros(1, 1, *(2,) * axes, dtype=torch.int64)
    indices.view(-1)[-1] = index
    text = rf"{name}: indices must be positions between 0 and {4**axes - 1} in y of \(1, 1, 4.*\), got {index}"
    with pytest.raises(ArgumentError, match=text):
        getattr(nn, name)(2).forward(torch.randn(indices.shape), indices)


@each_layer
def test_inputs_that_do_not_fit(name):
    layer, axes = getattr(nn, name)(2), int(name[-2])
    values = torch.randn(1, 1, *(2,) * axes)
    places = torch.zeros(values.shape, dtype=torch.int64)
    for inputs, error, text in (
        ((values, places[..., :1]), ShapeError, "indices must have the shape of input"),
        ((values, places.int()), DtypeError, r"indices must be int64, got torch\.int32; convert with \.long\(\)"),
        ((values, places.numpy()), ArgumentError, "indices must be a tensor, got a NumPy array"),
        ((places, places), DtypeError, "input must be floating point"),
        ((values[0, 0], places[0, 0]), ShapeError, f"input must have channels and {axes} size"),
    ):
        with pytest.raises(error, match=f"{name}: {text}"):
            layer.forward(*inputs)


@each_layer
@pytest.mark.parametrize("size", [2, 6])
def test_an_output_size_that_cannot_be(name, size):
    axes = int(name[-2])
    values = torch.randn(1, 1, *(2,) * axes)
    with pytest.raises(
        ShapeError, match=f"{name}: output_size must have {axes} sizes, with or without the batch and channels"
    ):
        getattr(nn, name)(2).forward(values, torch.zeros_like(values).long(), output_size=(size,) * axes)


@each_layer
def test_gradients_that_do_not_fit(name):
    layer = getattr(nn, name)(2)
    values = torch.randn(1, 1, *(2,) * int(name[-2]))
    y, saved = layer.forward(values, torch.zeros_like(values).long())
    with pytest.raises(ShapeError, match=f"{name}: d_y must have the shape of the output"):
        layer.backward(y[..., :1], saved)
    with pytest.raises(DtypeError, match=rf"{name}: d_y must have the dtype of the output, torch\.float32"):
        layer.backward(y.double(), saved)
    with pytest.raises(ArgumentError, match=f"{name}: saved must be that of a layer with kernel_size, stride and"):
        getattr(nn, name)(4).backward(y, saved)
