import pytest
import torch

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError

each_layer = pytest.mark.parametrize("name", ["FractionalMaxPool2d", "FractionalMaxPool3d"])


@each_layer
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_given_samples_as_torch(agree, name, batch):
    axes = int(name[-2])
    options = {"kernel_size": 2, "output_size": 3, "_random_samples": 0.99 * torch.rand(*(batch or (1,)), 3, axes)}
    layer, twin = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    x = torch.randn(*batch, 3, *(6,) * axes)
    for dtype in (torch.float64, torch.float32):
        layer.to(dtype), twin.to(dtype)
        assert list(layer.state_dict()) == list(twin.state_dict()) == ["_random_samples"]
        y, saved = layer.forward(x.to(dtype))
        theirs = x.to(dtype).requires_grad_()
        expected = twin(theirs)
        assert torch.equal(y, expected)
        d_y = torch.randn_like(y.mT.contiguous()).mT
        expected.backward(d_y)
        torch.testing.assert_close(layer.backward(d_y, saved), theirs.grad)


@each_layer
def test_the_meta_device(name):
    layer, shape = getattr(nn, name)(2, 3), (2, 3, *(6,) * int(name[-2]))
    y, saved = layer.forward(torch.empty(shape, device="meta"))
    d_x = layer.backward(torch.empty(y.shape, device="meta"), saved)
    assert (d_x.shape, d_x.device.type) == (shape, "meta")


@each_layer
def test_no_rows(name):
    layer, shape = getattr(nn, name)(2, 3), (0, 3, *(6,) * int(name[-2]))
    y, saved = layer.forward(torch.zeros(shape))
    assert layer.backward(torch.zeros(y.shape), saved).shape == shape


@each_layer
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "output_size or output_ratio must be given, and not both, got None and None"),
        (
            {"output_size": 2, "output_ratio": 0.5},
            "output_size or output_ratio must be given, and not both, got 2 and",
        ),
        ({"output_size": 0}, "output_size must be a whole number of at least 1"),
        ({"output_ratio": 1.0}, "output_ratio must be a number above 0 and below 1, or"),
        ({"output_ratio": (0.5,)}, "output_ratio must be a number above 0 and below 1, or"),
        ({"kernel_size": 1.5, "output_size": 2}, "kernel_size must be a whole number of at least 1"),
    ],
)
def test_arguments_that_do_not_fit(name, options, text):
    with pytest.raises(ArgumentError) as caught:
        getattr(nn, name)(**{"kernel_size": 2, **options})
    assert str(caught.value).startswith(f"{name}: {text}")


@each_layer
@pytest.mark.parametrize("options", [{"output_size": 4}, {"output_ratio": 0.9}, {"output_ratio": 0.1}], ids=str)
def test_sizes_that_are_too_small(name, options):
    with pytest.raises(ShapeError, match=f"{name}: x must have sizes of at least output_size . kernel_size"):
        getattr(nn, name)(3, **options).forward(torch.randn(1, 1, *(5,) * int(name[-2])))


def test_the_smallest_sizes_that_the_kernels_take():
    nn.FractionalMaxPool2d(3, 3).forward(torch.randn(1, 5, 5))
    nn.FractionalMaxPool3d(3, 3).forward(torch.randn(1, 6, 6, 6))
    with pytest.raises(ShapeError, match=r"must have sizes of at least output_size . kernel_size with an output_size"):
        nn.FractionalMaxPool3d(3, 3).forward(torch.randn(1, 6, 5, 6))


@each_layer
def test_samples_that_do_not_fit(name):
    axes = int(name[-2])
    x = torch.randn(2, 3, *(6,) * axes)
    for samples, error, text in (
        (torch.rand(1, 3, axes), ShapeError, rf"_random_samples must be \(2, 3, {axes}\) for this x, got \(1, 3"),
        (torch.ones(2, 3, axes), ArgumentError, r"_random_samples must lie in \[0, 1\), got \[1\.0, "),
        (torch.full((2, 3, axes), torch.nan), ArgumentError, r"_random_samples must lie in \[0, 1\), got \[nan"),
        (torch.rand(2, 3, axes).double(), DtypeError, r"x must have the dtype of the parameters, torch\.float64"),
    ):
        with pytest.raises(error, match=f"{name}: {text}"):
            getattr(nn, name)(2, 3, _random_samples=samples).forward(x)
    with pytest.raises(DtypeError, match=f"{name}: _random_samples must be floating point"):
        getattr(nn, name)(2, 3, _random_samples=torch.zeros(2, 3, axes, dtype=torch.int64))


@each_layer
def test_inputs_gradients_and_saved_values_that_do_not_fit(name):
    layer, axes = getattr(nn, name), int(name[-2])
    with pytest.raises(ShapeError, match=f"{name}: x must have channels and {axes} sizes"):
        layer(2, 3).forward(torch.randn(6, 6))
    y, saved = layer(2, 3).forward(torch.randn(2, 3, *(6,) * axes))
    with pytest.raises(ShapeError, match=f"{name}: d_y must have the shape of the output"):
        layer(2, 3).backward(y[..., :1], saved)
    with pytest.raises(ArgumentError, match=rf"{name}: saved must be that of a layer with kernel_size \(1, "):
        layer(1, 3).backward(y, saved)
    with pytest.raises(ArgumentError, match=rf"{name}: saved must be that of a layer with output_size \(2, "):
        layer(2, 2).backward(y, saved)
