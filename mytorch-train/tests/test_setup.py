"""The parts of a training belong together."""

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Line, Ramp, SquaredError, StepLR, network

from mytorch.core import ArgumentError
from mytorch.train import Batches, fit
from mytorch.train.setup import Setup
from mytorch.train.step import step


def parts(**changes):
    net = Chain(Dense(1, 1))
    given = {"net": net, "loss": SquaredError(), "optimizer": SGD(net.param()), "batches": Batches(Line(8), 4)}
    return given | changes


def test_a_step_is_the_plain_one_unless_another_is_given():
    setup = Setup(**parts())
    assert setup.step is step
    inputs, targets = next(iter(setup.batches))
    value, weight = setup.take_step(inputs, targets)
    assert value.dim() == 0
    assert weight == 4
    other = Setup(**parts(step=lambda *given: (torch.tensor(3.0), 2)))
    assert other.take_step(inputs, targets) == (torch.tensor(3.0), 2)


def test_it_holds_each_tensor_of_the_net_once():
    dense = Dense(3, 3)
    net = Chain(dense, dense)
    setup = Setup(**parts(net=net, optimizer=SGD(net.param())))
    assert setup.tensors == [dense.weight, dense.bias]
    assert setup.device == torch.device("cpu")


@pytest.mark.parametrize(("kind", "interval"), [(StepLR, "epoch"), (Ramp, "batch")])
def test_a_schedule_moves_on_after_what_it_counts(kind, interval):
    given = parts()
    setup = Setup(**given, schedule=kind(given["optimizer"], 4))
    setup.advance("epoch" if interval == "batch" else "batch")
    assert setup.schedule.last_epoch == 0
    setup.advance(interval)
    assert setup.schedule.last_epoch == 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"net": torch.nn.Linear(1, 1)}, r"net must be a Module of mytorch, got torch\.nn\.modules\.linear\.Linear"),
        ({"loss": torch.nn.MSELoss()}, r"loss must be a Module of mytorch, got torch\.nn\.modules\.loss\.MSELoss"),
        (
            {"loss": SquaredError},
            r"loss must be a Module of mytorch, got the class SquaredError; write SquaredError\(\.\.\.\)",
        ),
        (
            {"optimizer": torch.optim.SGD([torch.zeros(1)])},
            r"optimizer must be an Optimizer of mytorch, got torch\.optim\.sgd\.SGD",
        ),
        ({"batches": [1]}, r"batches must be a Batches of mytorch, got builtins\.list"),
        ({"schedule": 0.1}, r"schedule must be a Schedule of mytorch, got builtins\.float"),
    ],
)
def test_parts_of_another_kind_are_refused(changes, text):
    with pytest.raises(ArgumentError, match=rf"^Setup: {text}"):
        Setup(**parts(**changes))


def test_an_optimizer_of_another_net_is_refused():
    text = r"^Setup: optimizer must hold parameters of the net, got none of Chain's; build it with SGD\(net\.param\(\)"
    with pytest.raises(ArgumentError, match=text):
        Setup(**parts(optimizer=SGD(network().param())))


def test_a_schedule_of_another_optimizer_is_refused():
    net = Chain(Dense(1, 1))
    optimizer, other = SGD(net.param()), SGD(net.param())
    text = (
        r"^Setup: schedule must be one of the optimizer that is trained with, got a StepLR of another SGD; build it "
    )
    with pytest.raises(ArgumentError, match=text + r"with StepLR\(optimizer, \.\.\.\)"):
        fit(net, SquaredError(), optimizer, Line(8), epochs=1, batch_size=4, schedule=StepLR(other, 2), quiet=True)
