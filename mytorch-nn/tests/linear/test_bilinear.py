import pytest
import torch
from hypothesis import strategies as st

from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.nn import Bilinear

SIZE = st.integers(1, 5)


def test_the_same_initial_weights_as_torch():
    torch.manual_seed(3)
    ours = Bilinear(3, 4, 2)
    torch.manual_seed(3)
    torch.testing.assert_close(ours.state_dict(), dict(torch.nn.Bilinear(3, 4, 2).state_dict()), rtol=0, atol=0)


def test_without_input_gradients():
    layer = Bilinear(3, 4, 2)
    layer.input_grad = False
    y, saved = layer.forward(torch.randn(5, 3), torch.randn(5, 4))
    assert layer.backward(y, saved) == (None, None)
    assert layer.weight.grad.shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        (((5, 2), (5, 4)), r"last axis of input1 must be 3, got 2 in a tensor of \(5, 2\)"),
        (((5, 3), (5, 2)), r"last axis of input2 must be 4, got 2 in a tensor of \(5, 2\)"),
        (((5, 3), (1, 4)), r"input2 must have the axes of input1 before the last, \(5,\), got \(1,\)"),
    ],
)
def test_shapes_that_do_not_fit(shapes, text):
    with pytest.raises(ShapeError, match=f"Bilinear: {text}"):
        Bilinear(3, 4, 2).forward(*map(torch.randn, shapes))


def test_dtypes_and_gradients_that_do_not_fit():
    layer, input1, input2 = Bilinear(3, 4, 2), torch.randn(5, 3), torch.randn(5, 4)
    with pytest.raises(DtypeError, match=r"Bilinear: input1 must have the dtype of the parameters, torch\.float32"):
        layer.forward(input1.double(), input2)
    with pytest.raises(DtypeError, match=r"Bilinear: input2 must have the dtype of the parameters, torch\.float32"):
        layer.forward(input1, input2.double())
    y, saved = layer.forward(input1, input2)
    with pytest.raises(ShapeError, match="Bilinear: d_y must have the shape of the output"):
        layer.backward(y[:1], saved)
    with pytest.raises(DtypeError, match="Bilinear: d_y must have the dtype of the parameters"):
        layer.backward(y.double(), saved)
    with pytest.raises(ArgumentError, match=r"Bilinear: saved must be that of a layer with in1_features and in2"):
        Bilinear(4, 3, 2).backward(y, saved)
    assert layer.weight.grad is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, 4, 2), "in1_features must be a whole number of at least 1, got 0"),
        ((3, -1, 2), "in2_features must be a whole number of at least 0, got -1"),
        ((3, 4, 2.0), r"out_features must be a whole number of at least 0, got 2\.0"),
        (
            (3, 4, 2, True, None, torch.int64),
            r"dtype must be floating point, since weights are trained, got",
        ),
    ],
)
def test_arguments_that_do_not_fit(arguments, text):
    with pytest.raises(ArgumentError, match=f"Bilinear: {text}"):
        Bilinear(*arguments)
