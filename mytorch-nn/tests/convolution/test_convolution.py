import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.testing import check_layer

each_dimension = pytest.mark.parametrize("axes", [1, 2, 3])


@st.composite
def cases(draw, axes):
    """Channels, window and options of a convolution, and the shape of an input that it takes."""

    def several(low, high):
        return draw(st.integers(low, high) | st.tuples(*[st.integers(low, high)] * axes))

    groups = draw(st.integers(1, 3))
    channels = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    options = {
        "kernel_size": several(1, 3),
        "dilation": several(1, 2),
        "groups": groups,
        "bias": draw(st.booleans()),
        "padding_mode": draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"])),
    }
    if draw(st.booleans()):
        options["padding"] = draw(st.sampled_from(["same", "valid"]))
    else:
        options |= {"padding": several(0, 2), "stride": several(1, 3)}
    sizes = [draw(st.integers(5, 7)) for _ in range(axes)]
    leading = draw(st.sampled_from([(), (0,), (1,), (3,)]))
    return channels, options, (*leading, channels[0], *sizes)


@each_dimension
@given(data=st.data())
def test_as_torch(agree, axes, data):
    channels, options, shape = data.draw(cases(axes))
    x = torch.randn(shape)
    ours, twin = getattr(nn, f"Conv{axes}d"), getattr(torch.nn, f"Conv{axes}d")
    agree(ours(*channels, **options), twin(*channels, **options), x)


@each_dimension
def test_an_input_that_is_not_contiguous(agree, axes):
    x = torch.randn(5, 4, *(6,) * (axes - 1), 3).transpose(1, -1)
    ours, twin = getattr(nn, f"Conv{axes}d"), getattr(torch.nn, f"Conv{axes}d")
    agree(ours(3, 2, 2), twin(3, 2, 2), x)


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
