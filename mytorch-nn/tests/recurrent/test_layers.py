"""Recurrent layers against those of torch.nn."""

import re
import subprocess
import sys
import warnings
from operator import itemgetter, methodcaller

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError, StateError
from mytorch.nn.recurrent import _lstm_kernel as kernel
from mytorch.nn.recurrent import _unroll
from mytorch.testing import check_layer

NAMES = ["RNN", "LSTM", "GRU"]
each_layer = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():  # torch, of projections, which it runs without a kernel, as we do
        warnings.filterwarnings("ignore", "LSTM with projections is not supported with oneDNN")
        yield


def build(module, name, options):
    return getattr(module, name)(3, 4, **options)


def state_of(name, options, *batch):
    directions = 2 if options.get("bidirectional") else 1
    count, size = options.get("num_layers", 1) * directions, options.get("proj_size") or 4
    if name != "LSTM":
        return torch.randn(count, *batch, size)
    return torch.randn(count, *batch, size), torch.randn(count, *batch, 4)


@each_layer
def test_each_sequence_of_a_pack_is_as_alone(name):
    layer = build(nn, name, {"num_layers": 2, "bidirectional": True, "dtype": torch.float64})
    sequences = [torch.randn(length, 3, dtype=torch.float64) for length in (2, 5, 1)]
    (y, last), _ = layer.forward(pack_sequence(sequences, enforce_sorted=False))
    padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(y)
    for number, (sequence, length) in enumerate(zip(sequences, lengths, strict=True)):
        (alone, last_alone), _ = layer.forward(sequence)
        torch.testing.assert_close(padded[:length, number], alone)
        at = itemgetter((slice(None), number))
        torch.testing.assert_close(map_state(at, last), last_alone)


CONTRACTS = {  # the default layouts go through test_conformance.py
    "alone": ("GRU", {}, (3, 3), None, ("mixes_batch",)),
    "two directions": ("GRU", {"bidirectional": True}, (3, 2, 3), None, ("sequence_first",)),
    "two layers": ("RNN", {"num_layers": 2, "bias": False}, (3, 2, 3), (2, 2, 2), ("sequence_first",)),
    "dropout": ("LSTM", {"num_layers": 2, "dropout": 0.5}, (3, 2, 3), None, ("sequence_first",)),
    **{f"{name} with the batch first": (name, {"batch_first": True}, (4, 3, 3), (1, 4, 2), ()) for name in NAMES},
}


@pytest.mark.parametrize(("name", "options", "shape", "state", "tags"), CONTRACTS.values(), ids=CONTRACTS)
def test_the_contract(name, options, shape, state, tags):
    inputs = [shape] if state is None else [shape, (state, state) if name == "LSTM" else state]
    report = check_layer(lambda: getattr(nn, name)(3, 2, **options), *inputs, tags=("fixed_dimensions", *tags))
    if options.get("batch_first"):
        assert {f"train/{check}" for check in ("batch_invariance", "empty_batch", "single_row")} < {*report.passed}


def test_the_contract_of_projections():
    check_layer(
        lambda: nn.LSTM(3, 3, proj_size=2),
        (3, 2, 3),
        ((1, 2, 2), (1, 2, 3)),
        tags=("fixed_dimensions", "sequence_first"),
    )


@each_layer
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_outputs_that_were_not_used(name, dtype):
    layer = build(nn, name, {"num_layers": 2, "bidirectional": True, "dtype": dtype})
    x = torch.randn(5, 2, 3, dtype=dtype)
    (y, last), _ = layer.forward(x)
    d_y, zero = torch.randn_like(y), torch.zeros_like(y)
    d_last, no_last = map_state(torch.randn_like, last), map_state(torch.zeros_like, last)
    cases = [((d_y, None), (d_y, no_last)), ((None, d_last), (zero, d_last)), ((None, None), (zero, no_last))]
    if name == "LSTM":
        cases.append(((d_y, (d_last[0], None)), (d_y, (d_last[0], no_last[1]))))
    for with_none, with_zeros in cases:
        ends = []
        for d_output in (with_none, with_zeros):
            layer.zero_grad()
            ends.append([layer.backward(d_output, layer.forward(x)[1]), *(p.grad for p in layer.param())])
        torch.testing.assert_close(*ends)


def map_state(function, state):
    return tuple(map(function, state)) if isinstance(state, tuple) else function(state)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "bias": False}], ids=["one", "four"])
@pytest.mark.parametrize("shape", [(7, 3, 3), (1, 1, 3), (4, 3)], ids=str)
def test_kernel_and_loop_of_the_lstm_give_what_the_loop_gives_in_float64(monkeypatch, options, shape):
    layer = build(nn, "LSTM", options)
    x, state = torch.randn(shape), state_of("LSTM", options, *shape[1:-1])
    with torch.no_grad():
        for parameter in layer.param():
            parameter.value.mul_(3)
    y, last = layer(x, state)
    d_output = torch.randn_like(y), map_state(torch.randn_like, last)
    ends, kinds = [], []
    for dtype, fits in ((torch.float32, kernel.fits), (torch.float32, lambda *_: False), (torch.float64, kernel.fits)):
        monkeypatch.setattr(kernel, "fits", fits)
        layer.to(dtype).zero_grad()
        cast = methodcaller("to", dtype)
        (y, last), saved = layer.forward(cast(x), map_state(cast, state))
        kinds.append(type(saved.flights[0]).__name__)
        d_x, d_hx = layer.backward((cast(d_output[0]), map_state(cast, d_output[1])), saved)
        ends.append([leaf.double() for leaf in (y, *last, d_x, *d_hx, *(p.grad for p in layer.param()))])
    assert kinds == ["KernelFlight", "list", "list"]
    for single in ends[:2]:
        torch.testing.assert_close(single, ends[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_the_kernel_in_every_mode_of_autograd(mode):
    layer = build(nn, "LSTM", {"num_layers": 2, "dropout": 0.5})
    x = torch.randn(5, 2, 3)
    ends = []
    for step in (torch.no_grad, mode):
        torch.manual_seed(1)
        layer.zero_grad()
        with step():
            (y, last), saved = layer.forward(x)
            d_x = layer.backward((torch.ones_like(y), None), saved)
        assert not any(leaf.requires_grad for leaf in (y, *last, d_x))
        ends.append([y, d_x, *(parameter.grad.clone() for parameter in layer.param())])
    torch.testing.assert_close(*ends)


def test_the_kernel_records_nothing_of_an_input_that_requires_grad():
    layer, x = build(nn, "LSTM", {}), torch.randn(5, 2, 3).requires_grad_()
    with torch.no_grad():
        (y, _), saved = layer.forward(x)
        assert not y.requires_grad
        layer.backward((torch.ones_like(y), None), saved)


@each_layer
@pytest.mark.parametrize("packed", [False, True])
def test_a_sequence_that_is_read_in_several_stretches(monkeypatch, agree, name, packed):
    monkeypatch.setattr(_unroll, "STRETCH", 1)
    monkeypatch.setattr(_unroll, "STEPS", 2)
    options = {"num_layers": 2, "bidirectional": True}
    x = torch.randn(7, 4, 3)
    x = pack_padded_sequence(x, [3, 7, 1, 6], enforce_sorted=False) if packed else x
    agree(build(nn, name, options), build(torch.nn, name, options), x, state_of(name, options, 4))
    _, saved = build(nn, name, {"dtype": torch.float64}).forward(torch.randn(7, 4, 3, dtype=torch.float64))
    assert len(saved.flights[0]) > 2


@each_layer
def test_a_saved_value_is_good_for_one_backward(name):
    layer = build(nn, name, {"bidirectional": True})
    (y, _), saved = layer.forward(torch.randn(5, 2, 3))
    layer.backward((y, None), saved)
    text = f"^{name}: saved must hold one value for each direction of each layer, 2, got 0; .* call forward again"
    with pytest.raises(StateError, match=text):
        layer.backward((y, None), saved)


@pytest.mark.parametrize("weight", ["weight_ih", "weight_hh", "bias_ih", "bias_hh"])
def test_the_kernel_never_sees_a_weight_that_was_replaced_by_one_of_another_shape(weight):
    x, texts = torch.randn(5, 2, 3), []
    for between in (False, True):
        layer = build(nn, "LSTM", {})
        (y, _), saved = layer.forward(x)
        getattr(layer, f"{weight}_l0").value = torch.randn(2, 2)
        with pytest.raises(ShapeError) as caught:
            layer.backward((y, None), saved) if between else layer.forward(x)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert re.match(rf"LSTM: {weight} must have the shape \(16,.*\), got \(2, 2\)", texts[0])


@each_layer
def test_a_compiled_step_in_float32(name):
    layer = build(nn, name, {"num_layers": 2, "bidirectional": True})
    x = torch.randn(3, 2, 3)

    def step(x):
        (y, last), saved = layer.forward(x)
        return y, last, layer.backward((y, None), saved)

    with torch.inference_mode():
        torch.testing.assert_close(torch.compile(step, fullgraph=True, backend="eager")(x), step(x))
    torch._dynamo.reset()


@each_layer
def test_weights_of_the_same_seed_as_torch(name):
    options = {"num_layers": 2, "bidirectional": True} | ({"proj_size": 2} if name == "LSTM" else {})
    ends = []
    for module in (nn, torch.nn):
        torch.manual_seed(3)
        ends.append(dict(build(module, name, options).state_dict()))
    assert list(ends[0]) == list(ends[1])
    torch.testing.assert_close(*ends, rtol=0, atol=0)


@each_layer
def test_without_the_gradient_of_the_input(name):
    layer = build(nn, name, {"num_layers": 2, "bidirectional": True})
    layer.input_grad = False
    (y, _), saved = layer.forward(torch.randn(5, 2, 3), state_of(name, {"num_layers": 2, "bidirectional": True}, 2))
    d_x, d_hx = layer.backward((y, None), saved)
    assert d_x is None
    assert map_state(lambda leaf: leaf.shape, d_hx) == map_state(lambda leaf: leaf.shape, saved_shapes(name))
    (y, _), saved = layer.forward(torch.randn(5, 2, 3))
    assert layer.backward((y, None), saved) is None


def saved_shapes(name):
    return (torch.empty(4, 2, 4),) * 2 if name == "LSTM" else torch.empty(4, 2, 4)


PACKED = pack_sequence([torch.randn(2, 3), torch.randn(1, 3)])
BAD = {
    "axes": (torch.randn(3), ShapeError, r"input must have 2 or 3 axes, got 1 in \(3,\)"),
    "features": (torch.randn(5, 2, 4), ShapeError, r"last axis of input must be 3, got 4 in a tensor of \(5, 2, 4\)"),
    "no step": (torch.randn(0, 2, 3), ShapeError, r"input must have at least one step, got \(0, 2, 3\)"),
    "dtype": (torch.randn(5, 2, 3).double(), DtypeError, "input must have the dtype of the parameters"),
    "list": ([[1.0]], ArgumentError, "input must be a tensor, got a list"),
    "packed axes": (pack_sequence([torch.randn(2)]), ShapeError, "data of input must have 2 axes, got 1"),
    "packed features": (pack_sequence([torch.randn(2, 4)]), ShapeError, "last axis of input must be 3, got 4"),
    "packed sizes that rise": (
        type(PACKED)(torch.randn(3, 3), torch.tensor([1, 2])),
        ShapeError,
        r"batch_sizes of input must be whole numbers that do not increase and add up to its 3 rows, got \[1, 2\]",
    ),
    "packed sizes of more rows": (type(PACKED)(torch.randn(3, 3), torch.tensor([3, 2])), ShapeError, "batch_sizes of"),
    "packed sizes of floats": (
        type(PACKED)(torch.randn(3, 3), torch.tensor([2.0, 1.0])),
        ShapeError,
        "batch_sizes of",
    ),
    "packed sizes of 2 axes": (type(PACKED)(torch.randn(3, 3), torch.tensor([[2, 1]])), ShapeError, "batch_sizes of"),
    "packed sizes of 0": (type(PACKED)(torch.randn(3, 3), torch.tensor([3, 0])), ShapeError, "batch_sizes of"),
}


ORDERS = {
    "too short": ([0, 1], [0, 1]),
    "too long": ([0, 1, 2, 3], [0, 1, 2, 3]),
    "beyond the sequences": ([0, 1, 9], [0, 1, 2]),
    "twice the same": ([0, 1, 1], [0, 1, 2]),
    "not inverse": ([1, 2, 0], [1, 2, 0]),
    "floats": ([0.0, 1.0, 2.0], [0, 1, 2]),
    "two axes": ([[0, 1, 2]], [0, 1, 2]),
}


@each_layer
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_an_order_of_packed_sequences_that_does_not_fit(name, order):
    """With the first of these, an LSTM wrote beyond its states, and the process ended."""
    packed = type(PACKED)(torch.randn(9, 3), torch.tensor([3, 3, 3]), *map(torch.tensor, order))
    with pytest.raises(ShapeError, match=rf"{name}: sorted_indices and unsorted_indices of input must give each of 3"):
        getattr(nn, name)(3, 4).forward(packed)
    elsewhere = type(PACKED)(torch.randn(9, 3), torch.tensor([3, 3, 3]), *(torch.arange(3, device="meta"),) * 2)
    with pytest.raises(ShapeError, match="sorted_indices"):
        getattr(nn, name)(3, 4).forward(elsewhere)


@each_layer
@pytest.mark.parametrize(("x", "error", "text"), BAD.values(), ids=BAD)
def test_inputs_that_do_not_fit(name, x, error, text):
    with pytest.raises(error, match=f"^{name}: {text}"):
        build(nn, name, {}).forward(x)


STATES = {"layers": (2, 2, 4), "batch": (1, 5, 4), "size": (1, 2, 3), "axes": (2, 4), "swapped": (2, 1, 4)}


@each_layer
@pytest.mark.parametrize("shape", STATES.values(), ids=STATES)
def test_states_that_do_not_fit(name, shape):
    state = torch.randn(shape)
    for x in (torch.randn(5, 2, 3), pack_sequence([torch.randn(2, 3), torch.randn(1, 3)])):
        with pytest.raises(ShapeError, match=rf"^{name}: hx\S* must have the shape \(1, 2, 4\), to match the input"):
            build(nn, name, {}).forward(x, (state, state) if name == "LSTM" else state)


@pytest.mark.parametrize("hx", [torch.randn(2, 2, 4), (torch.randn(1, 2, 4),), [1.0]], ids=["tensor", "one", "list"])
def test_states_of_the_lstm_that_are_no_pair(hx):
    with pytest.raises(ArgumentError, match=r"LSTM: hx must be a tuple of two tensors, \(h_0, c_0\), got a"):
        build(nn, "LSTM", {}).forward(torch.randn(5, 2, 3), hx)


@each_layer
@pytest.mark.parametrize("packed", [False, True])
def test_upstream_gradients_that_do_not_fit(name, packed):
    layer = build(nn, name, {})
    x = PACKED if packed else torch.randn(2, 2, 3)
    (y, last), saved = layer.forward(x)
    first = last[0] if name == "LSTM" else last
    for d_output in (y, None, (y,), (y, last, last)):
        with pytest.raises(ShapeError, match=f"^{name}: d_output must be a tuple of two"):
            layer.backward(d_output, saved)
    for d_y in (torch.randn(1, 2, 4), torch.randn(4), 1.0, PACKED):
        with pytest.raises(ShapeError, match=rf"^{name}: (data of )?d_y must (have the shape|be a PackedSequence)"):
            layer.backward((d_y, None), saved)
    for wrong in (first[:, :1], first.mT, first[0], 1.0):
        d_last = (wrong, None) if name == "LSTM" else wrong
        with pytest.raises(ShapeError, match=rf"^{name}: d_h_n must have the shape of the output, \(1, 2, 4\), got"):
            layer.backward((None, d_last), saved)
    d_last = (first.double(), None) if name == "LSTM" else first.double()
    with pytest.raises(DtypeError, match=f"^{name}: d_h_n must have the dtype"):
        layer.backward((None, d_last), saved)
    if not packed:
        with pytest.raises(DtypeError, match=f"^{name}: d_y must have the dtype"):
            layer.backward((y.double(), None), saved)
    assert all(parameter.grad is None for parameter in layer.param())


SCRIPT = """
import torch
from mytorch.core import ArgumentError
from mytorch.nn import GRU, LSTM, RNN
x = torch.randn(5, 2, 3)
own = LSTM(3, 4), LSTM(3, 4), LSTM(3, 4), RNN(3, 4), RNN(3, 4), RNN(3, 4)
others = LSTM(3, 2048), LSTM(3, 4, 2), LSTM(3, 4, proj_size=2), GRU(3, 4), RNN(3, 4, 1, "relu"), RNN(3, 2)
for one, other in [*zip(own, others), *zip(others, own)]:
    (y, _), _ = one.forward(x)
    _, saved = other.forward(x)
    try:
        one.backward((torch.randn(y.shape), None), saved)
    except ArgumentError as error:
        print(error)
"""


def test_saved_values_of_other_layers():
    # in a process of its own: the kernel might read beyond the end of what is too short
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 12
    assert all(": saved must be that of" in line for line in lines)


@each_layer
def test_arguments_that_do_not_fit(name):
    cls = getattr(nn, name)
    for options, text in (
        ({"input_size": 0}, "input_size must be a whole number of at least 1, got 0"),
        ({"hidden_size": 2.0}, "hidden_size must be a whole number of at least 1, got 2.0"),
        ({"num_layers": 0}, "num_layers must be a whole number of at least 1, got 0"),
        ({"bias": 1}, "bias must be True or False, got 1"),
        ({"batch_first": None}, "batch_first must be True or False, got None"),
        ({"bidirectional": "yes"}, "bidirectional must be True or False, got 'yes'"),
        ({"dropout": 1.5}, "dropout must be between 0 and 1, got 1.5"),
        ({"dropout": True}, "dropout must be a number, got True"),
        ({"dtype": torch.int64}, "dtype must be floating point, since weights are trained, got torch.int64"),
    ):
        with pytest.raises(ArgumentError, match=f"^{name}: {text}"):
            cls(**({"input_size": 3, "hidden_size": 4} | options))


@pytest.mark.parametrize("proj_size", [-1, 4, 2.0])
def test_projections_that_do_not_fit(proj_size):
    with pytest.raises(ArgumentError, match="LSTM: proj_size must be "):
        nn.LSTM(3, 4, proj_size=proj_size)


@each_layer
def test_dropout_of_a_single_layer_has_no_place(name):
    with pytest.warns(UserWarning, match=f"{name}: dropout must be 0 for a single layer, .* got 0.5"):
        getattr(nn, name)(3, 4, dropout=0.5)
