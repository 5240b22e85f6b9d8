"""The losses of an epoch: looked at one by one on the processor, and seldom where a look waits for the device."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from toy_parts import SGD, SquaredError, Table, network

from mytorch.train import NotFiniteError, fit, losses, training
from mytorch.train.losses import LOOK_EVERY, Numbers, Sums, losses_of
from mytorch.train.mean_loss import MeanLoss

CPU = torch.device("cpu")
BATCHES = [
    (2.0, 3),
    (-4.0, torch.tensor(1.0)),
    (math.nan, 0),
    (math.inf, torch.tensor(0.0)),
    (0.5, 0.25),
]


@pytest.mark.parametrize("make", [Numbers, lambda loss: Sums(loss, CPU)])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_mean_is_that_of_the_batches(make, reduction):
    expected, found = MeanLoss(SquaredError(reduction)), make(SquaredError(reduction))
    assert math.isnan(found.mean())
    for value, weight in BATCHES:
        expected.add(value, weight)
        assert found.add(torch.tensor(value), weight) is None
    assert found.look() is None
    assert found.mean() == expected.compute()


def test_float32_losses_are_summed_in_float64():
    found = Sums(SquaredError(), CPU)
    for _ in range(1000):
        found.add(torch.tensor(0.1), 1)
    assert found.mean() == pytest.approx(float(torch.tensor(0.1)), rel=1e-12)


def test_each_loss_is_looked_at_on_the_processor():
    found = losses_of(SquaredError(), CPU)
    assert found.add(torch.tensor(1.0), 1) is None
    assert found.add(torch.tensor(math.inf), 1) == math.inf


def test_elsewhere_the_sum_is_looked_at_now_and_then():
    assert isinstance(losses_of(SquaredError(), torch.device("meta")), Sums)
    found = Sums(SquaredError(), CPU)
    seen = [found.add(torch.tensor(math.inf if number == 7 else 1.0), 1) for number in range(1, LOOK_EVERY + 1)]
    assert seen == [None] * (LOOK_EVERY - 1) + [math.inf]
    assert found.look() == math.inf


aten = torch.ops.aten
LOOKS = (aten.item.default, aten._local_scalar_dense.default, aten.is_nonzero.default)


class Looks(TorchDispatchMode):
    """Counts how often a tensor is asked for its number, as item, float, bool and tolist do."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function in LOOKS
        return function(*args, **(kwargs or {}))


def train(rows, epochs=1):
    net = network()
    data = Table(torch.randn(rows, 2), torch.randn(rows, 2))
    with Looks() as looks:
        run = fit(net, SquaredError(), SGD(net.param(), 0.01), data, epochs=epochs, batch_size=2, quiet=True)
    return looks.count, run.history


@pytest.fixture
def elsewhere(monkeypatch):
    """The processor is taken for another device."""
    monkeypatch.setattr(training, "losses_of", Sums)


def test_no_number_is_asked_for_at_a_batch_elsewhere(elsewhere):
    few, many = train(20)[0], train(2 * (LOOK_EVERY - 1))[0]
    assert few == many
    assert train(4 * LOOK_EVERY)[0] == few + 2  # and one every so many batches
    assert few < 20


def test_on_the_processor_it_is(monkeypatch):
    assert train(80)[0] - train(20)[0] == 30


def test_the_history_is_the_same_elsewhere(monkeypatch):
    torch.manual_seed(1)
    _, here = train(21, epochs=3)
    monkeypatch.setattr(training, "losses_of", Sums)
    torch.manual_seed(1)
    _, there = train(21, epochs=3)
    for one, other in zip(here, there, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-12)


@pytest.mark.parametrize("every", [3, 1000])
def test_a_loss_that_is_not_finite_is_named_with_its_batch_however_late_it_is_seen(elsewhere, monkeypatch, every):
    monkeypatch.setattr(losses, "LOOK_EVERY", every)
    net, data = network(), Table(torch.randn(40, 2), torch.randn(40, 2))
    data.inputs[8] = math.inf
    with pytest.raises(
        NotFiniteError, match=r"got the loss \(nan\) in epoch 1, batch 5: .* is the inputs of the batch"
    ):
        fit(net, SquaredError(), SGD(net.param()), data, epochs=1, batch_size=2, shuffle=False, quiet=True)
    assert all(value.isfinite().all() for value in net.state_dict().values())
