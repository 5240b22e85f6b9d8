import pytest
import torch

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.testing import check_layer

each_dimension = pytest.mark.parametrize("axes", [1, 2, 3])


def test_channels_last(agree):
    x = torch.randn(2, 3, 6, 5).to(memory_format=torch.channels_last)
    agree(nn.Conv2d(3, 4, 3), torch.nn.Conv2d(3, 4, 3), x)


@each_dimension
def test_the_contract(axes):
    layer = getattr(nn, f"Conv{axes}d")
    check_layer(lambda: layer(2, 3, 2, padding=1), torch.randn(2, 2, *(3,) * axes), tags=("fixed_dimensions",))


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (
            (3, 4, 8, 8),
            "x must have 3 channels and 2 sizes after them, with or without a batch in front, got (3, 4, 8, 8)",
        ),
        ((8, 8), "x must have 3 channels and 2 sizes after them"),
        ((1, 3, 8, 8, 8), "x must have 3 channels and 2 sizes after them"),
        ((1, 3, 2, 8), "the window must not be larger than the padded x, got a span of 3 for 2 values along axis -2"),
    ],
)
def test_shapes_that_do_not_fit(shape, text):
    with pytest.raises(ShapeError) as error:
        nn.Conv2d(3, 4, 3)(torch.randn(shape))
    assert str(error.value).startswith(f"Conv2d: {text}")


def test_another_dtype():
    with pytest.raises(DtypeError, match=r"Conv2d: x must have the dtype of the parameters, torch\.float32, got"):
        nn.Conv2d(3, 4, 3)(torch.randn(1, 3, 5, 5, dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"groups": 2}, "groups must divide in_channels and out_channels, got 2 for 3 and 4"),
        ({"groups": 0}, "groups must be a whole number of at least 1, got 0"),
        ({"kernel_size": 0}, "kernel_size must be a whole number of at least 1, or 2 of them, got 0"),
        ({"kernel_size": (1, 2, 3)}, "kernel_size must be a whole number of at least 1, or 2 of them"),
        ({"kernel_size": 2.5}, "kernel_size must be a whole number"),
        ({"stride": True}, "stride must be a whole number"),
        ({"padding": -1}, "padding must be a whole number of at least 0"),
        ({"padding": "full"}, "padding must be one of valid, same, got 'full'"),
        ({"padding": "same", "stride": 2}, 'stride must be 1 with padding="same", got (2, 2)'),
        ({"padding_mode": "mirror"}, "padding_mode must be one of zeros, reflect, replicate, circular, got 'mirror'"),
    ],
    ids=str,
)
def test_arguments_that_do_not_fit(options, text):
    with pytest.raises(ArgumentError) as error:
        nn.Conv2d(3, 4, **{"kernel_size": 3, **options})
    assert str(error.value).startswith(f"Conv2d: {text}")


@pytest.mark.parametrize("shape", [(1,), (1, 4, 3, 3), (2, 4, 4, 3), (2, 3, 3, 3), ()], ids=str)
def test_an_upstream_gradient_of_another_shape(shape):
    layer = nn.Conv2d(3, 4, 3)
    _, saved = layer.forward(torch.randn(2, 3, 5, 5))
    with pytest.raises(ShapeError, match=r"Conv2d: d_y must have the shape of the output, \(2, 4, 3, 3\), got"):
        layer.backward(torch.randn(shape), saved)


def test_a_stride_that_is_changed_later():
    layer, twin = nn.Conv2d(3, 4, 3, stride=2, padding=1), torch.nn.Conv2d(3, 4, 3, dilation=2, padding=1)
    layer.stride, layer.dilation = (1, 1), (2, 2)
    twin.load_state_dict(layer.state_dict())
    x = torch.randn(2, 3, 9, 8, requires_grad=True)
    y, saved = layer.forward(x.detach())
    expected = twin(x)
    torch.testing.assert_close(y, expected)
    expected.backward(torch.ones_like(y))
    torch.testing.assert_close(layer.backward(torch.ones_like(y), saved), x.grad)
