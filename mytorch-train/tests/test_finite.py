"""A value that stops being finite: where it is found and what is kept."""

import math
import random

import numpy.random
import pytest
import torch
from torch.utils.data import DataLoader
from toy_parts import SGD, Chain, Dense, Line, Noise, Rectify, SquaredError, Table, network

from mytorch.core import Buffer, Module, Parameter
from mytorch.plugins import hookimpl
from mytorch.train import NotFiniteError, fit
from mytorch.train.finite import values_finite

ROWS, SIZE = 20, 4


class Bomb(Module):
    """Passes everything on; the given forward (counted in training), or backward, returns NaN."""

    def __init__(self, forward_at=0, backward_at=0):
        self.forward_at, self.backward_at = forward_at, backward_at
        self.count = Buffer(torch.tensor(0))

    def forward(self, x):
        if self.training:
            self.count.value += 1
        return (x * math.nan if int(self.count.value) == self.forward_at else x * 1), None

    def backward(self, d_y, saved):
        return d_y * math.nan if int(self.count.value) == self.backward_at else d_y * 1


class Weights:
    """Remembers the weights before each step, by epoch and batch."""

    def __init__(self, net):
        self.net = net
        self.before = {(1, 1): self.now()}

    def now(self):
        return {name: value.clone() for name, value in self.net.state_dict().items()}

    @hookimpl
    def batch_ended(self, epoch, batch):
        following = (epoch, batch + 1) if batch < ROWS // SIZE else (epoch + 1, 1)
        self.before[following] = self.now()


def random_table():
    return Table(torch.randn(ROWS, 2), torch.randn(ROWS, 2))


def fails(net, data=None, lr=0.1, epochs=4, **options):
    """Train until it fails. The error, and the weights before each step."""
    weights = Weights(net)
    options = {"batch_size": SIZE, "quiet": True, "callbacks": [weights]} | options
    with pytest.raises(NotFiniteError) as info:
        fit(net, SquaredError(), SGD(net.param(), lr, momentum=0.5), data or random_table(), epochs=epochs, **options)
    return str(info.value), weights


@pytest.mark.parametrize(("at", "epoch", "batch"), [(1, 1, 1), (3, 1, 3), (5, 1, 5), (8, 2, 3)])
def test_forward(at, epoch, batch):
    net = Chain(Dense(2, 3), Chain(Bomb(forward_at=at), Dense(3, 2)))
    text, weights = fails(net)
    assert f"got the loss (nan) in epoch {epoch}, batch {batch}: " in text
    assert (
        "the first value that is not finite is the output of layer '1.0' (Bomb); the weights before that step" in text
    )
    torch.testing.assert_close(net.state_dict(), weights.before[epoch, batch], rtol=0, atol=0)


@pytest.mark.parametrize(("at", "epoch", "batch"), [(3, 1, 3), (5, 1, 5), (7, 2, 2)])
def test_backward_only(at, epoch, batch):
    net = Chain(Dense(2, 3), Bomb(backward_at=at), Dense(3, 2))
    text, weights = fails(net)
    assert f"in epoch {epoch}, batch {batch}: " in text
    assert "is the gradient of the input of layer '1' (Bomb)" in text
    torch.testing.assert_close(net.state_dict(), weights.before[epoch, batch], rtol=0, atol=0)


@pytest.mark.parametrize("options", [{"clip_grad_norm": 0.05}, {"optimizer_in_backward": True}])
def test_steps_of_every_kind_are_repeated_as_they_were_taken(options):
    net = Chain(Dense(2, 3), Bomb(backward_at=4), Dense(3, 2))
    text, weights = fails(net, **options)
    assert "in epoch 1, batch 4: the first value that is not finite is the gradient of the input of layer '1'" in text
    torch.testing.assert_close(net.state_dict(), weights.before[1, 4], rtol=0, atol=0)


@pytest.mark.parametrize("source", ["own", "numpy", "python"])
@pytest.mark.parametrize(("at", "epoch", "batch"), [(3, 1, 3), (8, 2, 3)])
def test_what_layers_draw_is_drawn_again_wherever_it_comes_from(source, at, epoch, batch):
    drawn = []

    class Jitter(Noise):
        def __init__(self, generator):
            super().__init__()
            self.generator = generator

        def forward(self, x):
            by = {
                "own": lambda: torch.rand(1, generator=self.generator).item(),
                "numpy": numpy.random.rand,
                "python": random.random,
            }
            drawn.append(by[source]())
            return x + 0.1 * drawn[-1], None

    net = Chain(Dense(2, 3), Jitter(torch.Generator().manual_seed(3)), Bomb(backward_at=at), Dense(3, 2))
    text, weights = fails(net)
    assert f"in epoch {epoch}, batch {batch}: the first value that is not finite is the gradient of the input" in text
    torch.testing.assert_close(net.state_dict(), weights.before[epoch, batch], rtol=0, atol=0)
    replayed = drawn[-batch:]
    assert replayed in (drawn[i : i + batch] for i in range(len(drawn) - batch))


def test_the_last_batch_of_the_last_epoch():
    net = Chain(Dense(2, 3), Bomb(backward_at=10), Dense(3, 2))
    text, weights = fails(net, epochs=2)
    assert "got a weight or buffer in epoch 2, batch 5: " in text
    torch.testing.assert_close(net.state_dict(), weights.before[2, 5], rtol=0, atol=0)


def test_the_gradient_of_a_parameter():
    class BadBias(Dense):
        def backward(self, d_y, x):
            d_x = super().backward(d_y, x)
            self.bias.grad = self.bias.grad * math.inf
            return d_x

    text, _ = fails(Chain(Dense(2, 3), BadBias(3, 2)))
    assert "is the gradient of 1.bias in layer '1' (BadBias)" in text


@pytest.mark.parametrize("part", ["inputs", "targets"])
@pytest.mark.parametrize("row", [0, ROWS - 1])
def test_data(part, row):
    data = random_table()
    getattr(data, part)[row, 1] = math.nan
    text, _ = fails(network(), data)
    assert f"is the {part} of the batch" in text


def test_one_of_several_inputs():
    class First(Dense):
        def forward(self, x, _ignored):
            return super().forward(x)

    data = Table((torch.randn(ROWS, 2), torch.full((ROWS, 1), math.inf)), torch.randn(ROWS, 2))
    data.inputs[0][3] = math.nan
    assert "is the inputs of the batch" in fails(First(2, 2), data)[0]


def test_a_learning_rate_that_is_too_high():
    text, _ = fails(network(), lr=1e30)
    assert "A lower learning rate, another initialisation or standardised inputs usually help" in text
    assert "in epoch 1, batch " in text


def test_the_update():
    class Overflow(SGD):
        def update(self, values, grads, states, group):
            super().update(values, grads, states, group)
            values[-1].fill_(math.inf)

    net = network()
    with pytest.raises(
        NotFiniteError, match=r"batch 1: .* is 2.bias after the update by Overflow; the weights before"
    ):
        fit(net, SquaredError(), Overflow(net.param()), random_table(), epochs=1, batch_size=SIZE, quiet=True)
    assert values_finite([parameter.value for parameter in net.param()])


def test_the_loss():
    class Hole(SquaredError):
        def forward(self, prediction, target):
            value, saved = super().forward(prediction, target)
            return value * math.inf, saved

    net = network()
    with pytest.raises(NotFiniteError, match=r"got the loss \(inf\) in epoch 1, batch 1: .* is the loss, Hole"):
        fit(net, Hole(), SGD(net.param()), random_table(), epochs=1, batch_size=SIZE, quiet=True)


def test_a_buffer_that_was_never_finite_is_no_culprit():
    class Masked(Dense):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.mask = Buffer(torch.tensor([0.0, -math.inf]))

    text, _ = fails(Chain(Masked(2, 3), Bomb(forward_at=3), Dense(3, 2)))
    assert "is the output of layer '1' (Bomb)" in text


def test_random_layers_are_repeated_as_they_were():
    net = Chain(Dense(2, 3), Noise(), Bomb(forward_at=4), Dense(3, 2))
    text, weights = fails(net)
    assert "epoch 1, batch 4: the first value that is not finite is the output of layer '2' (Bomb)" in text
    torch.testing.assert_close(net.state_dict(), weights.before[1, 4], rtol=0, atol=0)


def test_a_loader_cannot_be_repeated_and_the_start_of_the_epoch_is_kept():
    net = Chain(Dense(2, 3), Bomb(forward_at=8), Dense(3, 2))
    data = random_table()
    loader = DataLoader(data, batch_size=SIZE, shuffle=True)
    text, weights = fails(net, loader, batch_size=None)
    assert "got the loss (nan) in epoch 2, batch 3: the steps could not be repeated to find the layer" in text
    assert "the weights of the epoch's start are kept" in text
    torch.testing.assert_close(net.state_dict(), weights.before[2, 1], rtol=0, atol=0)


def test_the_layers_are_as_they_were():
    net = Chain(Dense(2, 3), Bomb(forward_at=2), Rectify())
    fails(net, Table(torch.randn(ROWS, 2), torch.randn(ROWS, 3)))
    assert not any({"forward", "backward"} & set(vars(module)) for module in net.modules())
    assert all(parameter.grad is None for parameter in net.param())
    assert net.input_grad


def test_weights_of_several_dtypes_and_none():
    assert values_finite([])
    assert values_finite([torch.zeros(0), torch.ones(2), torch.ones(3, dtype=torch.float64), torch.tensor(1.0)])
    assert values_finite([torch.full((3,), 3e38)] * 3)
    assert values_finite([torch.tensor([1 + 1j]), torch.tensor([True]), torch.tensor([2**40])])
    assert not values_finite([torch.tensor([complex(1, math.inf)])])
    assert not values_finite([torch.tensor([math.inf, -math.inf])])
    assert not values_finite([torch.ones(2), torch.tensor([1.0, -math.inf])])
    assert not values_finite([torch.tensor([math.nan, 1.0])])


def test_a_healthy_run_with_huge_numbers_goes_on():
    net = Chain(Dense(1, 1))
    net.layers[0].bias = Parameter(torch.tensor([1e15]))
    fit(net, SquaredError(), SGD(net.param(), 0.0), Line(8), epochs=1, batch_size=4, quiet=True)


class Running(Module):
    """y = x; keeps the sum of all inputs, which overflows unseen."""

    def __init__(self):
        self.total = Buffer(torch.zeros(1))

    def forward(self, x):
        self.total.value.add_(x.sum() * 1e38)
        return x, None

    def backward(self, d_y, _saved):
        return d_y


def test_a_buffer_that_overflows_stops_the_run_and_is_named():
    net = Chain(Running(), Dense(2, 2))
    text, _ = fails(net, Table(torch.ones(ROWS, 2), torch.zeros(ROWS, 2)))
    assert "in epoch 1, batch 1: the first value that is not finite is the buffer" in text
    assert text.count(".total; the weights before that step are kept") == 1
    assert all(value.isfinite().all() for value in net.state_dict().values())
