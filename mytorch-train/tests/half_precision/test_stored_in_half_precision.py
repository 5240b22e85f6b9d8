"""Training with weights in bfloat16: during the steps alone, and with the numbers that PyTorch has."""

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Rectify, SquaredError, Table, network

from mytorch.core import Buffer, DtypeError, Module, Parameter
from mytorch.plugins import Callback
from mytorch.train import EMA, AveragedWeights, Setup, explain_setup, fit, lr_range_test
from mytorch.train.batches import Batches
from mytorch.train.choose_step import choose_step


class Centre(Module):
    """y = gain * (x - mean), with a running mean: a layer that keeps statistics."""

    def __init__(self, columns):
        self.gain, self.mean = Parameter(torch.ones(columns)), Buffer(torch.zeros(columns))

    def forward(self, x):
        if self.training:
            self.mean.value.lerp_(x.mean(0), 1e-3)
        centred = x - self.mean.value
        return self.gain.value * centred, centred

    def backward(self, d_y, centred):
        self.gain.accumulate((d_y * centred).sum(0))
        return d_y * self.gain.value


def rows(count=24):
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(count, 3, generator=generator)
    return Table(x, x[:, :2] * x[:, 1:] + 0.1)


def dense():
    torch.manual_seed(4)
    return Chain(Dense(3, 5), Centre(5), Rectify(), Dense(5, 2))


class Dtypes(Callback):
    """Notes the dtypes of values and buffers, and of the optimizer's state, at each hook."""

    def __init__(self):
        self.seen = {}

    def _note(self, name, run):
        values = [str(held.value.dtype).removeprefix("torch.") for _, held in run.net.named_state()]
        state = {str(held["momentum_buffer"].dtype) for held in run.optimizer.state.values()}
        self.seen.setdefault(name, []).append((values, state))

    def training_started(self, run):
        self._note("started", run)

    def batch_ended(self, run):
        self._note("batch", run)

    def epoch_ended(self, run):
        self._note("epoch", run)

    def training_ended(self, run):
        self._note("ended", run)


def test_values_are_in_bfloat16_while_batches_are_trained_on_and_not_otherwise():
    net, dtypes = dense(), Dtypes()
    optimizer = SGD(net.param(), 0.05, momentum=0.9)
    options = {"batch_size": 8, "quiet": True, "callbacks": [dtypes], "precision": "bfloat16"}
    training = fit(net, SquaredError(), optimizer, rows(), epochs=2, validation=rows(9), **options)
    half, whole = "bfloat16", "float32"
    expected = [half, half, whole, whole, half, half]
    assert {tuple(values) for values, _ in dtypes.seen["batch"]} == {tuple(expected)}
    assert all(state == {"torch.bfloat16", "torch.float32"} for _, state in dtypes.seen["batch"])
    for name in ("started", "epoch", "ended"):
        assert all(set(values) == {whole} for values, _ in dtypes.seen[name])
    for name, held in net.named_param():
        assert torch.equal(held.value, held.value.bfloat16().float()) or "gain" in name
        assert not held.value.is_inference()
    assert training.history[-1]["validation_loss"] == pytest.approx(
        SquaredError()(net.eval()(rows(9).inputs), rows(9).targets).item(), rel=1e-5
    )


def test_the_numbers_are_those_of_pytorch_in_bfloat16():
    torch.manual_seed(4)
    net, data = Chain(Dense(3, 5), Rectify(), Dense(5, 2)), rows()
    twin = net.torch_twin()
    for theirs, ours in zip(twin.parameters(), net.param(), strict=True):
        theirs.data.copy_(ours.value)
    twin.to(torch.bfloat16)
    theirs = torch.optim.SGD(twin.parameters(), 0.05, momentum=0.9)
    for at in range(0, 24, 8):
        theirs.zero_grad()
        y = twin(data.inputs[at : at + 8].bfloat16()).float()
        torch.nn.functional.mse_loss(y, data.targets[at : at + 8]).backward()
        theirs.step()
    options = {"batch_size": 8, "quiet": True, "precision": "bfloat16", "shuffle": False}
    optimizer = SGD(net.param(), 0.05, momentum=0.9)
    fit(net, SquaredError(), optimizer, data, epochs=1, **options)
    for ours, expected in zip(net.param(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.value, expected.detach().float(), rtol=1e-2, atol=2e-3)


def test_small_updates_are_lost_which_float32_values_would_keep():
    """What it costs: an update below the rounding of a value leaves it as it was."""
    ends = {}
    for precision in ("bfloat16", "bfloat16-mixed"):
        net = Dense(1, 1)
        net.weight.value.fill_(1.0)
        net.bias.value.fill_(0.0)
        data = Table(torch.ones(4, 1), torch.full((4, 1), 1.5))
        fit(
            net, SquaredError(), SGD(net.param(), 1e-3), data, epochs=20, batch_size=4, quiet=True, precision=precision
        )
        ends[precision] = net.weight.value.item()
    assert ends["bfloat16"] == 1.0
    assert 1.01 < ends["bfloat16-mixed"] < 1.03


def test_one_epoch_twice_is_two_epochs():
    ends = []
    for calls in ([2], [1, 1]):
        net = dense()
        optimizer = SGD(net.param(), 0.05, momentum=0.9)
        for epochs in calls:
            fit(net, SquaredError(), optimizer, rows(), epochs=epochs, batch_size=8, quiet=True, precision="bfloat16")
        ends.append([held.value for _, held in net.named_state()])
    torch.testing.assert_close(*ends, rtol=0, atol=0)


def test_averages_are_in_float32():
    net = network()
    options = {"batch_size": 8, "quiet": True, "precision": "bfloat16", "callbacks": [EMA(0.99)]}
    before = net.param()[0].value.clone()
    fit(net, SquaredError(), SGD(net.param(), 0.2), Table(rows().inputs[:, :2], rows().targets), epochs=3, **options)
    moved = net.param()[0].value
    assert not torch.equal(moved, before)
    assert not torch.equal(moved, moved.bfloat16().float())
    half = Dense(2, 2).to(torch.float16)
    average = AveragedWeights(half, decay=0.999)
    for value in (1.0, 2.0, 2.0):
        half.weight.value.fill_(value)
        average.update()
    expected = 1 + 0.001 + 0.001 * 0.999
    assert average.state_dict()["averages"][0].flatten().tolist() == pytest.approx([expected] * 4)
    with average.in_place():
        assert half.weight.value.dtype is torch.float16


def test_explaining_and_the_range_test_leave_the_float32_values_as_they_were():
    net, data = dense(), rows()
    before = [held.value.clone() for _, held in net.named_state()]
    optimizer = SGD(net.param(), 0.05)
    setup = Setup(net, SquaredError(), optimizer, Batches(data, 8), None, choose_step(optimizer, precision="bfloat16"))
    assert len(explain_setup(setup).steps) > 4
    torch.testing.assert_close([held.value for _, held in net.named_state()], before, rtol=0, atol=0)
    lr_range_test(net, SquaredError(), optimizer, data, batch_size=8, steps=12, precision="bfloat16")
    torch.testing.assert_close([held.value for _, held in net.named_state()], before, rtol=0, atol=0)


def test_a_net_that_is_not_float32_is_refused_before_anything_changes():
    net = dense().to(torch.float64)
    with pytest.raises(DtypeError, match=r"^bfloat16: parameters must be float32, got torch.float64 in '0.weight'$"):
        fit(
            net,
            SquaredError(),
            SGD(net.param(), 0.1),
            rows(),
            epochs=1,
            batch_size=4,
            quiet=True,
            precision="bfloat16",
        )
    assert {parameter.value.dtype for parameter in net.param()} == {torch.float64}


class Fails(Callback):
    """Ends the run with an error in the middle of an epoch."""

    must_succeed = True

    def batch_ended(self):
        raise ZeroDivisionError


def test_a_run_that_fails_leaves_float32():
    net = dense()
    options = {"batch_size": 4, "quiet": True, "precision": "bfloat16", "callbacks": [Fails()]}
    with pytest.raises(ZeroDivisionError):
        fit(net, SquaredError(), SGD(net.param(), 0.1), rows(), epochs=1, **options)
    assert {held.value.dtype for _, held in net.named_state()} == {torch.float32}
