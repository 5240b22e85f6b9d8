"""Sequences of different lengths: in a padded batch each comes to what it comes to alone, gradients included."""

import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, Module, ShapeError, StateError, describe, rebuild
from mytorch.nn import (
    GRU,
    LSTM,
    RNN,
    Concatenate,
    Dropout,
    Embedding,
    LastStep,
    Linear,
    MeanStep,
    MultiheadAttention,
    Padded,
    Permute,
    Select,
    Sequential,
    SinusoidalPositionalEncoding,
    Take,
    Tanh,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from mytorch.testing import check_layer

LENGTHS = torch.tensor([3, 5, 1, 2])
STEPS = 6  # one more than the longest


def encoder():
    layer = TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    return SinusoidalPositionalEncoding(4, batch_first=True), TransformerEncoder(layer, 2)


NETS = {
    "last step": lambda: Padded(Linear(4, 4), Tanh(), LastStep(), Linear(4, 3)),
    "mean step": lambda: Padded(Linear(4, 4), Tanh(), MeanStep(), Linear(4, 3)),
    "lstm": lambda: Padded(LSTM(4, 5, batch_first=True), Take(0), LastStep(), Linear(5, 3)),
    "deep lstm in both directions": lambda: Padded(
        LSTM(4, 5, num_layers=2, batch_first=True, bidirectional=True), Take(0), MeanStep(), Linear(10, 3)
    ),
    "lstm with a projection": lambda: Padded(LSTM(4, 5, batch_first=True, proj_size=3), Take(0), LastStep()),
    "last state of a gru": lambda: Padded(
        GRU(4, 5, batch_first=True, bidirectional=True), Take(1), Select(0, 1), Linear(5, 3)
    ),
    "rnn behind a layer": lambda: Padded(Linear(4, 4), RNN(4, 3, batch_first=True), Take(0), LastStep()),
    "two recurrent layers": lambda: Padded(
        *(GRU(4, 4, batch_first=True), Take(0), Tanh(), LSTM(4, 3, batch_first=True), Take(0), LastStep())
    ),
    "transformer": lambda: Padded(*encoder(), MeanStep(), Linear(4, 3)),
    "attention": lambda: Padded(MultiheadAttention(4, 2, batch_first=True), Take(0), LastStep(), Linear(4, 3)),
    "nested": lambda: Sequential(Padded(Padded(*encoder()), LastStep()), Linear(4, 3)),
}


@pytest.fixture(params=NETS)
def net(request):
    torch.manual_seed(3)
    return NETS[request.param]().to(torch.float64)


def gradients(net, x, d_y, **options):
    """Output, gradient of the input and those of the parameters."""
    for parameter in net.param():
        parameter.grad = None
    y, saved = net.forward(x, **options)
    d_x = net.backward(d_y, saved)
    return y, d_x, [parameter.grad for parameter in net.param()]


def test_each_sequence_comes_to_what_it_comes_to_alone(net):
    x, d_y = torch.randn(4, STEPS, 4, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    y, d_x, grads = gradients(net, x, d_y, lengths=LENGTHS)
    sums = [0.0] * len(grads)
    for row, length in enumerate(LENGTHS.tolist()):
        y_alone, d_alone, grads_alone = gradients(net, x[row : row + 1, :length], d_y[row : row + 1])
        torch.testing.assert_close(y[row], y_alone[0])
        torch.testing.assert_close(d_x[row, :length], d_alone[0])
        assert (d_x[row, length:] == 0).all()
        sums = [total + grad for total, grad in zip(sums, grads_alone, strict=True)]
    for grad, total in zip(grads, sums, strict=True):
        torch.testing.assert_close(grad, total)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_lies_in_the_padding_has_no_influence(net, dtype):
    net = net.to(dtype)
    x, d_y = torch.randn(4, STEPS, 4, dtype=dtype), torch.randn(4, 3, dtype=dtype)
    padding = torch.arange(STEPS) >= LENGTHS.unsqueeze(1)
    noise = torch.where(padding.unsqueeze(2), 100 * torch.randn_like(x), x)
    found, expected = (gradients(net, each, d_y, lengths=LENGTHS) for each in (noise, x))
    for one, other in zip((*found[:2], *found[2]), (*expected[:2], *expected[2]), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    shorter = gradients(net, x[:, :5], d_y, lengths=LENGTHS)
    torch.testing.assert_close(shorter[0], expected[0])
    torch.testing.assert_close(shorter[2], expected[2])


@pytest.mark.parametrize("name", ["mean step", "lstm", "last state of a gru", "attention"])
def test_the_kit_finds_nothing(name):
    recurrent = name in ("lstm", "last state of a gru")
    check_layer(
        lambda: NETS[name]().to(torch.float64),
        (4, STEPS, 4),
        options={"lengths": LENGTHS},
        tags=("fixed_dimensions",),
        opt_out={"traceable": "how many sequences have each step is data"} if recurrent else {},
    )


@pytest.mark.parametrize("layer", [LastStep, MeanStep])
def test_the_kit_finds_nothing_in_layers_that_take_lengths(layer):
    check_layer(layer, (4, STEPS), options={"lengths": LENGTHS}, tags=("fixed_dimensions",))


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
def test_steps_of_any_shape(shape):
    x = torch.randn(4, STEPS, *shape)
    alone = [x[row, :length] for row, length in enumerate(LENGTHS)]
    torch.testing.assert_close(LastStep()(x, lengths=LENGTHS), torch.stack([each[-1] for each in alone]))
    torch.testing.assert_close(MeanStep()(x, lengths=LENGTHS), torch.stack([each.mean(0) for each in alone]))
    torch.testing.assert_close(LastStep()(x), x[:, -1])
    torch.testing.assert_close(MeanStep()(x), x.mean(1))


def test_whole_numbers_as_inputs():
    net = Padded(Embedding(7, 3), GRU(3, 4, batch_first=True), Take(0), LastStep())
    x = torch.randint(0, 7, (4, STEPS))
    y, d_x, (weight, *_) = gradients(net, x, torch.randn(4, 4), lengths=LENGTHS)
    seen = {int(index) for row, length in zip(x, LENGTHS, strict=True) for index in row[:length]}
    assert d_x is None
    assert {row for row in range(7) if (weight[row] != 0).any()} <= seen
    torch.testing.assert_close(y[2], net(x[2:3, :1])[0])


class Scaled(Module):
    """A layer of a stranger, divided by how many steps there are."""

    def forward(self, x, *, lengths):
        return x / lengths.view(-1, 1, 1), lengths

    def backward(self, d_y, lengths):
        return d_y / lengths.view(-1, 1, 1)


def test_a_layer_of_strangers_that_asks_for_lengths_gets_them():
    x = torch.randn(4, STEPS, 2)
    y, d_x, _ = gradients(Padded(Scaled()), x, torch.ones(4, STEPS, 2), lengths=LENGTHS)
    torch.testing.assert_close(y, x / LENGTHS.view(-1, 1, 1))
    torch.testing.assert_close(d_x, (1 / LENGTHS).view(-1, 1, 1).expand(4, STEPS, 2))


def test_input_grad_reaches_the_first_layer():
    net = Padded(LSTM(4, 5, batch_first=True), Take(0), LastStep())
    net.input_grad = False
    assert not net[0].input_grad
    _, d_x, grads = gradients(net, torch.randn(4, STEPS, 4), torch.randn(4, 5), lengths=LENGTHS)
    assert d_x is None
    assert all(grad.abs().sum() > 0 for grad in grads)


def test_it_is_a_list_that_can_be_described():
    net = Padded(GRU(2, 3, batch_first=True), Take(0), LastStep())
    net.append(Linear(3, 2))
    again = rebuild(*describe(net))
    again.load_state_dict(net.state_dict())
    x = torch.randn(4, STEPS, 2)
    torch.testing.assert_close(again(x, lengths=LENGTHS), net(x, lengths=LENGTHS), rtol=0, atol=0)
    assert isinstance(net[:2], Padded)
    assert len(net[:2]) == 2


@pytest.mark.parametrize(
    ("x", "lengths", "error", "message"),
    [
        (torch.ones(2, 3, 4), [1, 2], ArgumentError, "lengths must be a tensor, got a list"),
        (torch.ones(2, 3, 4), torch.tensor([1]), ShapeError, r"lengths must have one number a sequence, \(2,\), got"),
        (torch.ones(2, 3, 4), torch.tensor([1.0, 2.0]), DtypeError, "lengths must be int64, got torch.float32; conv"),
        (
            torch.ones(2, 3, 4),
            torch.tensor([1, 4]),
            ArgumentError,
            "must be from 1 to the 3 steps of x, got 4",
        ),
        (
            torch.ones(2, 3, 4),
            torch.tensor([0, 3]),
            ArgumentError,
            "must be from 1 to the 3 steps of x, got 0",
        ),
        (torch.ones(2), None, ShapeError, r"x must be \(batch, steps, ...\) with at least one step, got \(2,\)"),
        (torch.ones(2, 0, 4), None, ShapeError, r"with at least one step, got \(2, 0, 4\)"),
    ],
)
@pytest.mark.parametrize("layer", [LastStep, MeanStep, lambda: Padded(Linear(4, 2))])
def test_lengths_that_do_not_fit_are_refused(layer, x, lengths, error, message):
    with pytest.raises(error, match=message):
        layer().forward(x, lengths=lengths)


def test_layers_that_do_not_fit_are_refused():
    for layer in (LSTM(2, 3), TransformerEncoder(TransformerEncoderLayer(4, 2, 8), 1), Concatenate(GRU(2, 3))):
        with pytest.raises(
            ArgumentError, match=r"Padded: layers must have the batch as their first axis, got \w+\(ba"
        ):
            Padded(layer)
    net = Padded(Linear(4, 4))
    with pytest.raises(ArgumentError, match="batch_first=False"):
        net.append(RNN(4, 4))
    with pytest.raises(ArgumentError, match="Padded: child must be a Module, got list; write Padded"):
        Padded([Linear(4, 4)])
    net = Padded(LastStep(), LSTM(4, 3, batch_first=True))
    with pytest.raises(ShapeError, match=r"LSTM: x must be \(batch, steps, features\), got \(4, 4\)"):
        net.forward(torch.ones(4, 5, 4), lengths=LENGTHS)


def test_a_saved_value_is_used_once_and_upstream_shapes_are_checked():
    net = Padded(LSTM(4, 5, batch_first=True), Take(0))
    y, saved = net.forward(torch.randn(4, STEPS, 4), lengths=LENGTHS)
    with pytest.raises(ShapeError, match=r"d_y must have the shape of the output, \(4, 6, 5\), got \(4, 5, 5\)"):
        net.backward(torch.ones(4, 5, 5), saved)
    y, saved = net.forward(torch.randn(4, STEPS, 4), lengths=LENGTHS)
    net.backward(torch.ones_like(y), saved)
    with pytest.raises(StateError, match="Padded: saved must hold one value for each of 2 layers, got 0; a saved val"):
        net.backward(torch.ones_like(y), saved)
    layer = Padded(LSTM(4, 5, batch_first=True))
    _, saved = layer.forward(torch.randn(4, STEPS, 4), lengths=LENGTHS)
    with pytest.raises(ShapeError, match=r"LSTM: d_y must have the shape of the output, \(4, 6, 5\), got \(4, 6, 4\)"):
        layer.backward((torch.ones(4, STEPS, 4), None), saved)


def test_dropout_and_a_step_for_each_class_work_inside():
    net = Padded(GRU(4, 5, batch_first=True), Take(0), Dropout(0.5), Linear(5, 3), Permute((0, 2, 1)))
    y, d_x, _ = gradients(net, torch.randn(4, STEPS, 4), torch.randn(4, 3, STEPS), lengths=LENGTHS)
    assert y.shape == (4, 3, STEPS)
    assert d_x.shape == (4, STEPS, 4)
