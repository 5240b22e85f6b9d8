"""Recurrent cells against those of torch.nn."""

import pytest
import torch

from mytorch import nn
from mytorch.core import ArgumentError, AutogradError, DtypeError, ShapeError
from mytorch.testing import check_layer

NAMES = ["RNNCell", "LSTMCell", "GRUCell"]
each_cell = pytest.mark.parametrize("name", NAMES)


def state_of(name, *shape):
    return (torch.randn(shape), torch.randn(shape)) if name == "LSTMCell" else torch.randn(shape)


@each_cell
def test_the_contract_without_a_batch(name):
    state = ((2,), (2,)) if name == "LSTMCell" else (2,)
    check_layer(lambda: getattr(nn, name)(3, 2, bias=False), (3,), state, tags=("fixed_dimensions",))


def test_the_contract_with_relu():
    check_layer(lambda: nn.RNNCell(3, 2, nonlinearity="relu"), (3, 3), (3, 2), tags=("fixed_dimensions",))


@pytest.mark.parametrize("unused", [0, 1])
def test_an_output_of_the_lstm_that_was_not_used(unused):
    cell = nn.LSTMCell(3, 4, dtype=torch.float64)
    ends = []
    for nothing in (None, torch.zeros(5, 4, dtype=torch.float64)):
        torch.manual_seed(1)
        x = torch.randn(5, 3, dtype=torch.float64)
        _, saved = cell.forward(x)
        d_output = [torch.randn(5, 4, dtype=torch.float64)] * 2
        d_output[unused] = nothing
        cell.zero_grad()
        ends.append([cell.backward(tuple(d_output), saved), *(parameter.grad for parameter in cell.param())])
    torch.testing.assert_close(*ends, rtol=0, atol=0)


@each_cell
def test_weights_of_the_same_seed_as_torch(name):
    ends = []
    for module in (nn, torch.nn):
        torch.manual_seed(3)
        ends.append(dict(getattr(module, name)(3, 4).state_dict()))
    torch.testing.assert_close(*ends, rtol=0, atol=0)


@each_cell
def test_weights_of_a_generator(name):
    cell = getattr(nn, name)(3, 4)
    drawn = []
    for _ in range(2):
        cell.reset_parameters(torch.Generator().manual_seed(5))
        drawn.append({name: value.clone() for name, value in cell.state_dict().items()})
    torch.testing.assert_close(*drawn, rtol=0, atol=0)
    assert all(value.abs().max() <= 0.5 for value in drawn[0].values())


BAD = {
    "axes": (torch.randn(2, 5, 3), None, ShapeError, r"input must have 1 or 2 axes, got 3 in \(2, 5, 3\)"),
    "features": (torch.randn(5, 4), None, ShapeError, r"last axis of input must be 3, got 4 in a tensor of \(5, 4\)"),
    "dtype": (torch.randn(5, 3).double(), None, DtypeError, "input must have the dtype of the parameters"),
    "list": ([1.0], None, ArgumentError, "input must be a tensor, got a list"),
    "rows of hx": (torch.randn(5, 3), (4, 4), ShapeError, r"hx\S* must have the shape \(5, 4\), .*got \(4, 4\)"),
    "size of hx": (torch.randn(5, 3), (5, 3), ShapeError, r"hx\S* must have the shape \(5, 4\), .*got \(5, 3\)"),
    "axes of hx": (torch.randn(3), (1, 4), ShapeError, r"hx\S* must have the shape \(4,\), .*got \(1, 4\)"),
}


@each_cell
@pytest.mark.parametrize(("x", "shape", "error", "text"), BAD.values(), ids=BAD)
def test_inputs_that_do_not_fit(name, x, shape, error, text):
    inputs = [x] if shape is None else [x, state_of(name, *shape)]
    with pytest.raises(error, match=f"^{name}: {text}"):
        getattr(nn, name)(3, 4).forward(*inputs)


@each_cell
def test_states_of_another_kind(name):
    cell, x = getattr(nn, name)(3, 4), torch.randn(5, 3)
    right = state_of(name, 5, 4)
    wrong = [[0.0], "h"] + ([torch.randn(5, 4), (torch.randn(5, 4),)] if name == "LSTMCell" else [(right,)])
    for hx in wrong:
        with pytest.raises(ArgumentError, match=f"^{name}: hx must be a t"):
            cell.forward(x, hx)
    double = tuple(each.double() for each in right) if name == "LSTMCell" else right.double()
    with pytest.raises(DtypeError, match=rf"^{name}: hx\S* must have the dtype of the parameters"):
        cell.forward(x, double)
    watched = right[1] if name == "LSTMCell" else right
    watched.requires_grad_()
    with pytest.raises(AutogradError, match=rf"^{name}: hx\S* must not require grad"):
        cell.forward(x, right)


@each_cell
def test_saved_values_of_other_cells(name):
    cell = getattr(nn, name)(3, 4)
    y, _ = cell.forward(torch.randn(5, 3))
    for other in NAMES:
        for sizes in ((3, 4), (3, 2)):
            if (other, sizes) == (name, (3, 4)):
                continue
            _, saved = getattr(nn, other)(*sizes).forward(torch.randn(5, 3))
            text = rf"^{name}: saved must be that of {name}\(input_size=3, hidden_size=4\), got that of {other}\(input"
            with pytest.raises(ArgumentError, match=text):
                cell.backward(y, saved)
    with pytest.raises(ArgumentError, match=f"^{name}: saved must be a tuple"):
        cell.backward(y, None)
    assert all(parameter.grad is None for parameter in cell.param())


def test_upstream_gradients_of_the_lstm_that_do_not_fit():
    cell = nn.LSTMCell(3, 4)
    (h, c), saved = cell.forward(torch.randn(5, 3))
    for d_output in (h, None, (h,), (h, c, c)):
        with pytest.raises(ShapeError, match=r"LSTMCell: .* must be a tuple of two"):
            cell.backward(d_output, saved)
    with pytest.raises(ShapeError, match=r"LSTMCell: d_c must have the shape of the output, \(5, 4\), got \(4, 4\)"):
        cell.backward((h, c[1:]), saved)
    with pytest.raises(DtypeError, match="LSTMCell: d_h must have the dtype"):
        cell.backward((h.double(), None), saved)


@each_cell
def test_arguments_that_do_not_fit(name):
    cls = getattr(nn, name)
    for arguments, text in {
        (0, 4): "input_size must be a whole number of at least 1, got 0",
        (3, True): "hidden_size must be a whole number of at least 1, got True",
        (3, 2.5): "hidden_size must be a whole number of at least 1, got 2.5",
    }.items():
        with pytest.raises(ArgumentError, match=f"^{name}: {text}"):
            cls(*arguments)
    with pytest.raises(ArgumentError, match=f"^{name}: dtype must be floating point"):
        cls(3, 4, dtype=torch.int64)


def test_another_nonlinearity():
    for cls in (nn.RNNCell, nn.RNN):
        with pytest.raises(ArgumentError, match=f"{cls.__name__}: nonlinearity must be one of tanh, relu, got 'gelu'"):
            cls(3, 4, nonlinearity="gelu")
