import pytest
import torch

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.testing import check_layer

MODES = ["Constant", "Zero", "Reflection", "Replication", "Circular"]
NAMES = [f"{mode}Pad{axes}d" for mode in MODES for axes in (1, 2, 3)]
each_layer = pytest.mark.parametrize("name", NAMES)


def dimensions_of(name):
    return int(name[-2])


@each_layer
def test_the_contract(name):
    arguments = (1, 0.5) if name.startswith("Constant") else (1,)
    shape = (2, 3, *(4 for _ in range(dimensions_of(name))))
    check_layer(lambda: getattr(nn, name)(*arguments), torch.randn(shape), tags=("fixed_dimensions",))


@pytest.mark.parametrize(
    ("name", "padding", "shape", "text"),
    [
        ("ReflectionPad1d", 3, (2, 3), "padding of an axis of 3 must be at most 2, got (3, 3)"),
        ("CircularPad2d", (0, 0, 5, 0), (1, 4, 4), "padding of an axis of 4 must be at most 4, got (5, 0)"),
        ("ReplicationPad2d", 1, (4, 4), "x must have 3 axes that are not empty, with or without a batch"),
        ("ReplicationPad1d", 1, (2, 0, 4), "x must have 2 axes that are not empty"),
        ("ReflectionPad3d", 1, (2, 3, 4), "x must have 4 axes that are not empty"),
        ("ZeroPad2d", 1, (4,), "x must have at least 2 axes, got 1 in (4,)"),
        ("ZeroPad1d", (-2, -3), (2, 4), "padding must not cut off more than the 4 values, got (-2, -3)"),
        ("ReplicationPad1d", (-2, -2), (2, 4), "padding must not cut off more than the 4 values"),
    ],
)
def test_shapes_that_do_not_fit(name, padding, shape, text):
    with pytest.raises(ShapeError) as error:
        getattr(nn, name)(padding)(torch.randn(shape))
    assert str(error.value).startswith(f"{name}: {text}")


@pytest.mark.parametrize("mode", ["Constant", "Zero"])
@pytest.mark.parametrize(("size", "padding"), [(0, (1, -1)), (1, (2, -2)), (2, (-3, 4)), (3, (-2, -2))], ids=str)
def test_more_is_cut_off_than_there_is(mode, size, padding):
    layer = getattr(nn, f"{mode}Pad1d")(padding, *[0.5] * (mode == "Constant"))
    text = rf"^{mode}Pad1d: padding must not cut off more than the {size} values, got \({padding[0]}, {padding[1]}\)$"
    with pytest.raises(ShapeError, match=text):
        layer.forward(torch.ones(2, size))


@pytest.mark.parametrize("padding", [1.5, True, "1", (1,), (1, 2, 3), (1, 2.0), None])
def test_padding_that_does_not_fit(padding):
    with pytest.raises(ArgumentError, match="ZeroPad1d: padding must be a whole number or 2 of them, got"):
        nn.ZeroPad1d(padding)


@pytest.mark.parametrize("value", ["0", None, True])
def test_a_value_that_is_no_number(value):
    with pytest.raises(ArgumentError, match="ConstantPad1d: value must be a number, got"):
        nn.ConstantPad1d(1, value)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    ("value", "dtype"),
    [(-1.0, torch.uint8), (float("inf"), torch.int64), (float("nan"), torch.int32), (300, torch.int8)],
    ids=str,
)
def test_a_value_that_the_dtype_does_not_hold(axes, value, dtype):
    layer, x = getattr(nn, f"ConstantPad{axes}d")(1, value), torch.ones(2, 3, 3, 3)
    text = f"^ConstantPad{axes}d: x must have a dtype that holds value = {value}, got {dtype}; convert with "
    with pytest.raises(DtypeError, match=text):
        layer.forward(x.to(dtype))
    assert layer(x)[(0,) * 4] == value or value != value


@each_layer
@pytest.mark.parametrize("change", [(0, -1), (-1, 1)], ids=str)
def test_an_upstream_gradient_of_another_shape(name, change):
    """A short or long one is refused before a kernel reads it."""
    arguments = (1, 0.5) if name.startswith("Constant") else (1,)
    layer = getattr(nn, name)(*arguments)
    y, saved = layer.forward(torch.randn(2, 3, *(4 for _ in range(dimensions_of(name)))))
    shape = list(y.shape)
    shape[change[0]] += change[1]
    with pytest.raises(ShapeError, match=f"{name}: d_y must have the shape of the output"):
        layer.backward(torch.randn(shape), saved)
