import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.nn.rearrangement import fold
from mytorch.testing import check_layer


def test_a_fold_without_rows():
    y, saved = nn.Fold(4, 2).forward(torch.zeros(0, 8, 9))
    assert y.shape == (0, 2, 4, 4)
    assert nn.Fold(4, 2).backward(torch.zeros(y.shape), saved).shape == (0, 8, 9)


@pytest.mark.parametrize(("shape", "sizes", "expected"), [((5, 6), (2, -1), (5, 2, 3)), ((5, 2, 3), (6,), (5, 6))])
def test_reshape(shape, sizes, expected):
    layer, x, d_y = nn.Reshape(sizes), torch.randn(shape), torch.randn(expected)
    y, saved = layer.forward(x)
    assert torch.equal(y, x.reshape(expected))
    assert torch.equal(layer.backward(d_y, saved), d_y.reshape(shape))


@given(order=st.permutations(range(4)), ends=st.lists(st.booleans(), min_size=4, max_size=4))
def test_permute(order, ends):
    dims = [axis - 4 * end for axis, end in zip(order, ends, strict=True)]
    layer, x = nn.Permute(dims), torch.randn(2, 3, 4, 5)
    y, saved = layer.forward(x)
    assert torch.equal(y, x.permute(dims))
    d_y = torch.randn(y.shape)
    watched = x.clone().requires_grad_()
    watched.permute(dims).backward(d_y)
    assert torch.equal(layer.backward(d_y, saved), watched.grad)


@pytest.mark.parametrize("axes", [2, 3])  # torch gives an empty batch other axes
def test_the_contract_with_axes_in_front(axes):
    check_layer(lambda: nn.PixelShuffle(2), (*(2,) * axes, 4, 1, 2), checks=("empty_batch", "autograd"))


LAYERS = {
    "PixelShuffle": (lambda: nn.PixelShuffle(2), (2, 4, 2, 3)),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), (2, 3, 2, 4)),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), (2, 4, 3)),
    "Unfold": (lambda: nn.Unfold(2), (2, 3, 4, 4)),
    "Fold": (lambda: nn.Fold(3, 2), (2, 8, 4)),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 3)), (2, 6)),
    "Reshape": (lambda: nn.Reshape((2, 3)), (2, 6)),
    "Permute": (lambda: nn.Permute((1, 0)), (2, 6)),
}


@pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS)
def test_an_upstream_gradient_of_another_shape(make, shape):
    layer = make()
    y, saved = layer.forward(torch.randn(shape))
    for wrong in [(1,), (), (*y.shape, 1), y.shape[:-1]]:
        with pytest.raises(ShapeError, match=f"{type(layer).__name__}: d_y must have the shape of the output"):
            layer.backward(torch.randn(wrong), saved)


BAD_INPUTS = {
    "PixelShuffle: x must be (..., channels, height, width) with channels that 4 divides, got (2, 6, 2, 3)": (
        lambda: nn.PixelShuffle(2),
        (2, 6, 2, 3),
    ),
    "PixelShuffle: x must be (..., channels, height, width) with channels that 4 divides, got (4, 3)": (
        lambda: nn.PixelShuffle(2),
        (4, 3),
    ),
    "PixelUnshuffle: x must be (..., channels, height, width) with sizes that 2 divides, got (1, 3, 4)": (
        lambda: nn.PixelUnshuffle(2),
        (1, 3, 4),
    ),
    "ChannelShuffle: x must be (batch, channels, length, ...) with channels that 3 divides, got (2, 4, 3)": (
        lambda: nn.ChannelShuffle(3),
        (2, 4, 3),
    ),
    "ChannelShuffle: x must be (batch, channels, length, ...) with channels that 2 divides, got (2, 4)": (
        lambda: nn.ChannelShuffle(2),
        (2, 4),
    ),
    "Unfold: x must be (channels, height, width), none of them 0, with or without a batch in front, got (4, 4)": (
        lambda: nn.Unfold(2),
        (4, 4),
    ),
    "Unfold: the window must not be larger than the padded image, got a span of 5 for 4 values in an image of": (
        lambda: nn.Unfold(3, dilation=2),
        (1, 4, 9),
    ),
    "Fold: x must be (channels * 4, 4), the numbers of a window and the windows of an image of (3, 3)": (
        lambda: nn.Fold(3, 2),
        (2, 8, 5),
    ),
    "Fold: x must be (channels * 4, 4), the numbers of a window and the windows of an image of (3, 3), with": (
        lambda: nn.Fold(3, 2),
        (2, 6, 4),
    ),
    "Fold: the window must not be larger than the padded image, got a span of 4 for 3 values in an image of (3, 3)": (
        lambda: nn.Fold(3, 4),
        (2, 16, 1),
    ),
    "Unflatten: x must have an axis 2, got 2 axes in (3, 4)": (lambda: nn.Unflatten(2, (2, 2)), (3, 4)),
    "Unflatten: x must have (3, -1) numbers along the axes that are reshaped, got 4 in (3, 4)": (
        lambda: nn.Unflatten(1, (3, -1)),
        (3, 4),
    ),
    "Reshape: x must have (2, 3) numbers along the axes that are reshaped, got 4 in (3, 4)": (
        lambda: nn.Reshape((2, 3)),
        (3, 4),
    ),
    "Reshape: x must have a batch axis, got ()": (lambda: nn.Reshape((1,)), ()),
    "Permute: x must have 2 axes, got 3 in (1, 2, 3)": (lambda: nn.Permute((1, 0)), (1, 2, 3)),
}


@pytest.mark.parametrize(("text", "case"), BAD_INPUTS.items(), ids=BAD_INPUTS)
def test_inputs_that_do_not_fit(text, case):
    make, shape = case
    with pytest.raises(ShapeError) as caught:
        make().forward(torch.randn(shape))
    assert str(caught.value).startswith(text)


BAD_ARGUMENTS = {
    "PixelShuffle: upscale_factor must be a whole number of at least 1, got 0": lambda: nn.PixelShuffle(0),
    "PixelUnshuffle: downscale_factor must be a whole number of at least 1, got 1.5": lambda: nn.PixelUnshuffle(1.5),
    "ChannelShuffle: groups must be a whole number of at least 1, got True": lambda: nn.ChannelShuffle(True),
    "Unfold: kernel_size must be a whole number of at least 1, or 2 of them, got 0": lambda: nn.Unfold(0),
    "Fold: output_size must be a whole number of at least 1, or 2 of them, got (1, 2, 3)": lambda: nn.Fold(
        (1, 2, 3), 2
    ),
    "Unflatten: dim must be a whole number, got 'channels'": lambda: nn.Unflatten("channels", (2, 3)),
    "Unflatten: unflattened_size must be a sequence of whole numbers of at least 0, of which one may be -1, got": (
        lambda: nn.Unflatten(1, (-1, -1))
    ),
    "Unflatten: unflattened_size must have at least one size, got ()": lambda: nn.Unflatten(1, ()),
    "Reshape: shape must be a sequence of whole numbers of at least 0, of which one may be -1, got 3": (
        lambda: nn.Reshape(3)
    ),
    "Permute: dims must name each axis once, such as (0, 2, 1), got (0, 0)": lambda: nn.Permute((0, 0)),
    "Permute: dims must name each axis once, such as (0, 2, 1), got (0, 2)": lambda: nn.Permute((0, 2)),
    "Permute: dims must name each axis once, such as (0, 2, 1), got 1": lambda: nn.Permute(1),
}


@pytest.mark.parametrize(("text", "make"), BAD_ARGUMENTS.items(), ids=BAD_ARGUMENTS)
def test_arguments_that_do_not_fit(text, make):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("make", [lambda: nn.Unfold(2), lambda: nn.Fold(3, 2)], ids=["Unfold", "Fold"])
def test_integers(make):
    with pytest.raises(DtypeError, match=r"old: x must be floating point, got torch\.int64"):
        make().forward(torch.zeros(2, 8, 4, dtype=torch.int64))


def test_the_saved_value_of_another_layer():
    _, saved = nn.Permute((0, 1)).forward(torch.randn(3, 3))
    with pytest.raises(
        ArgumentError, match=r"Permute: saved must be that of a layer with dims \(1, 0\), got one with"
    ):
        nn.Permute((1, 0)).backward(torch.randn(3, 3), saved)
    y, saved = nn.ChannelShuffle(2).forward(torch.randn(1, 6, 2))
    with pytest.raises(
        ArgumentError, match="ChannelShuffle: saved must be that of a layer with groups 3, got one with"
    ):
        nn.ChannelShuffle(3).backward(y, saved)
    y, saved = nn.PixelShuffle(2).forward(torch.randn(1, 16, 2, 2))
    with pytest.raises(ShapeError, match=r"PixelShuffle: d_y must have the shape of the output, \(1, 1, 8, 8\)"):
        nn.PixelShuffle(4).backward(y, saved)


@st.composite
def windows_of_images(draw):
    """A window as torch takes it, whose columns lie side by side, and sizes of an image in which it fits."""
    geometry = [draw(st.tuples(st.integers(1, 5), st.integers(1, 5))) for _ in range(2)]
    padding, step = draw(st.tuples(st.integers(0, 5), st.integers(0, 5))), draw(st.integers(1, 6))
    spans = [spread * (window - 1) + 1 for window, spread in zip(*geometry, strict=True)]
    least = [max(1, span - 2 * amount) for span, amount in zip(spans, padding, strict=True)]
    return (*geometry, padding, (step, 1)), tuple(size + draw(st.integers(0, 6)) for size in least)


@given(drawn=windows_of_images(), leading=st.sampled_from([(), (1,), (2,)]))
def test_windows_by_slices(drawn, leading):
    """The way of large images, on small ones."""
    geometry, sizes = drawn
    x = torch.randn(*leading, 3, *sizes, dtype=torch.float64)
    unfold, together = nn.Unfold(*geometry), nn.Fold(sizes, *geometry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold, "MANY", 0)
        patch.setattr(fold, "MANY_IN_ROW", 0)
        y, saved = unfold.forward(x)
        d_y = torch.randn(*leading, y.shape[-1], y.shape[-2], dtype=x.dtype).mT  # which is not contiguous
        d_x = unfold.backward(d_y, saved)
        z, saved = together.forward(d_y)
        d_windows = together.backward(x, saved)
    assert torch.equal(y, F.unfold(x, *geometry))
    assert torch.equal(d_windows, y)
    for found in (d_x, z):
        torch.testing.assert_close(found, F.fold(d_y, sizes, *geometry), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_windows_of_large_images(dtype):
    x = torch.randn(4, 4, 40, 36).to(dtype)
    layer = nn.Unfold(3, padding=1)
    assert layer._is_for_slices(x, (40, 36), 9 * x.numel())
    y, saved = layer.forward(x)
    assert torch.equal(y, F.unfold(x, 3, padding=1))
    torch.testing.assert_close(layer.backward(y, saved), F.fold(y, x.shape[-2:], 3, padding=1))
