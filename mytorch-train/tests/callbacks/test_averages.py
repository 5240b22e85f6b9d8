"""Averages of weights: equal to torch's update for update, judged and kept in place of what is trained."""

import copy

import pytest
import torch
from compiled_runs import table
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.optim.swa_utils import update_bn as torchs_update_bn
from toy_parts import SGD, Chain, Dense, Noise, Rectify, SquaredError

from mytorch.core import ArgumentError, Buffer, Module, Parameter
from mytorch.plugins import PluginWarning, hookimpl
from mytorch.train import EMA, SWA, AveragedWeights, Batches, KeepBest, NotFiniteError, evaluate, fit, update_bn


class Norm(Module):
    """Batch normalisation without gradients of its statistics: enough to keep running ones."""

    def __init__(self, features):
        self.momentum = 0.1
        self.weight = Parameter(torch.ones(features, dtype=torch.float64))
        self.running_mean = Buffer(torch.zeros(features, dtype=torch.float64))
        self.running_var = Buffer(torch.ones(features, dtype=torch.float64))
        self.num_batches_tracked = Buffer(torch.tensor(0))

    def forward(self, x):
        mean, variance = self.running_mean.value, self.running_var.value
        if self.training:
            self.num_batches_tracked.value.add_(1)
            mean, variance = x.mean(0), x.var(0, correction=0)
            share = 1 / self.num_batches_tracked.value if self.momentum is None else self.momentum
            self.running_mean.value.lerp_(mean, float(share))
            self.running_var.value.lerp_(x.var(0), float(share))
        n = (x - mean) / variance.sqrt()
        return n * self.weight.value, (n, variance)

    def backward(self, d_y, saved):
        n, variance = saved
        self.weight.accumulate((d_y * n).sum(0))
        return d_y * self.weight.value / variance.sqrt()


def network():
    torch.manual_seed(3)
    return Chain(Dense(3, 4), Rectify(), Noise(), Dense(4, 2)).to(torch.float64)


class Torchs(torch.nn.Module):
    """The same tensors for torch's average."""

    def __init__(self, net):
        super().__init__()
        for place, (_, held) in enumerate(net.named_state()):
            if isinstance(held, Parameter):
                self.register_parameter(f"p{place}", torch.nn.Parameter(held.value.clone()))
            else:
                self.register_buffer(f"b{place}", held.value.clone())

    def take(self, net):
        with torch.no_grad():
            for mine, (_, held) in zip(self.state_dict(keep_vars=True).values(), tensors(net), strict=True):
                mine.copy_(held.value)


def tensors(net):
    """Parameters, then buffers, as torch's state of the flat twin has them."""
    return sorted(net.named_state(), key=lambda pair: isinstance(pair[1], Buffer))


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([None, 0.0, 0.5, 0.999, 1]), st.booleans(), st.integers(0, 6), st.integers(0, 2**20))
def test_updates_equal_torchs(decay, use_buffers, updates, seed):
    torch.manual_seed(seed)
    net = network()
    twin = Torchs(net)
    options = {} if decay is None else {"multi_avg_fn": get_ema_multi_avg_fn(decay)}
    theirs, ours = AveragedModel(twin, use_buffers=use_buffers, **options), AveragedWeights(net, decay, use_buffers)
    for _ in range(updates):
        for _, held in net.named_state():
            new = torch.randn_like(held.value) if held.value.is_floating_point() else held.value + 3
            held.value.copy_(new)
        twin.take(net)
        ours.update()
        theirs.update_parameters(twin)
    assert ours.count == int(theirs.n_averaged)
    before = copy.deepcopy(net.state_dict())
    with ours.in_place():
        for (name, held), expected in zip(tensors(net), theirs.module.state_dict().values(), strict=True):
            torch.testing.assert_close(held.value, expected, rtol=1e-12, atol=1e-12, msg=name)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


class Watch:
    """The weights after each step and at the end of each epoch, as callbacks see them."""

    def __init__(self):
        self.steps, self.epochs = [], []

    @hookimpl
    def batch_ended(self, run):
        self.steps.append(copied(run.net))

    @hookimpl
    def epoch_ended(self, run, record):
        self.epochs.append((copied(run.net), record))


def copied(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def train(*callbacks, net=None, epochs=4, engine="eager", **options):
    net = net or network()
    options = {"validation": table(20), "batch_size": 10, "quiet": True} | options
    optimizer = SGD(net.param(), 0.05, momentum=0.9)
    return fit(net, SquaredError(), optimizer, table(46), epochs=epochs, callbacks=callbacks, engine=engine, **options)


def mean(states, name="0.weight"):
    return torch.stack([state[name] for state in states]).mean(0)


def test_ema_is_judged_and_kept_and_the_training_is_as_without():
    watch, plain = Watch(), Watch()
    run, other = train(watch, EMA(0.8)), train(plain)
    torch.testing.assert_close(watch.steps, plain.steps, rtol=0, atol=0)
    average = watch.steps[0]["0.weight"]
    for state in watch.steps[1:]:
        average = 0.8 * average + 0.2 * state["0.weight"]
    torch.testing.assert_close(run.net.state_dict()["0.weight"], average)
    torch.testing.assert_close(watch.epochs[-1][0], run.net.state_dict(), rtol=0, atol=0)
    found = evaluate(run.net, SquaredError(), table(20))["loss"]
    assert run.history[-1]["validation_loss"] == pytest.approx(found, rel=1e-12)
    assert [r["train_loss"] for r in run.history] == [r["train_loss"] for r in other.history]
    assert run.notes["average"] == {"of": "EMA", "updates": 20}
    assert int(run.net.state_dict()["2.seen"]) == 20  # a buffer is the net's own


@pytest.mark.parametrize(("start", "counted"), [(0.5, 2), (0.8, 1), (0.0, 4), (2, 3)])
def test_swa_is_the_mean_over_the_last_epochs(start, counted):
    watch = Watch()
    run = train(watch, SWA(start))
    at_ends = watch.steps[4::5]
    torch.testing.assert_close(run.net.state_dict()["0.weight"], mean(at_ends[-counted:]))
    first = watch.epochs[0][0]["0.weight"]
    torch.testing.assert_close(first, at_ends[0]["0.weight"], rtol=0, atol=0)
    assert run.notes["average"] == {"of": "SWA", "updates": counted}


def test_the_compiled_engine_sees_the_same_average(interpreted):
    eager, compiled = train(EMA(0.8), epochs=3), train(EMA(0.8), engine="compiled", epochs=3)
    torch.testing.assert_close(compiled.net.state_dict(), eager.net.state_dict(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("order", [1, -1])
def test_keep_best_keeps_the_average_of_its_epoch(order):
    watch = Watch()
    run = train(*[watch, EMA(0.8), KeepBest("validation_loss")][::order])
    best = run.notes["best"]["epoch"]
    torch.testing.assert_close(run.net.state_dict(), watch.epochs[best - 1][0], rtol=0, atol=0)


class Interrupt:
    def __init__(self, error):
        self.error = error

    @hookimpl
    def batch_ended(self, run, epoch, batch):
        if (epoch, batch) == (3, 2):
            raise self.error


def test_ctrl_c_keeps_the_average():
    net, watch = network(), Watch()
    with pytest.raises(KeyboardInterrupt):
        train(Interrupt(KeyboardInterrupt), watch, SWA(1), net=net)
    torch.testing.assert_close(net.state_dict()["0.weight"], mean(watch.steps[4:10:5]))


class Ends:
    """What the net holds when the run fails."""

    @hookimpl
    def training_failed(self, run):
        self.state = copied(run.net)


def test_after_a_value_that_is_not_finite_the_trained_weights_are_kept():
    net, watch, ends = network(), Watch(), Ends()
    data = table(46)
    data.inputs[7] = torch.inf
    with pytest.raises(NotFiniteError):
        fit(
            net,
            SquaredError(),
            SGD(net.param(), 0.05),
            data,
            epochs=1,
            batch_size=10,
            shuffle=False,
            callbacks=[EMA(0.5), watch, ends],
            quiet=True,
        )
    torch.testing.assert_close(ends.state, network().state_dict(), rtol=0, atol=0)


def test_swa_computes_statistics_for_its_weights():
    net = Chain(Dense(3, 4).to(torch.float64), Norm(4), Dense(4, 2).to(torch.float64))
    run = train(SWA(0.5), net=net)
    hidden = table(46).inputs @ net.layers[0].weight.value.T + net.layers[0].bias.value
    expected = torch.stack([part.mean(0) for part in hidden.split(10)]).mean(0)
    torch.testing.assert_close(net.layers[1].running_mean.value, expected)
    assert net.layers[1].momentum == 0.1
    assert run.history[-1]["validation_loss"] == pytest.approx(evaluate(net, SquaredError(), table(20))["loss"])
    averaged = train(SWA(0.5, use_buffers=True), net=Chain(Norm(3), Dense(3, 2).to(torch.float64)))
    assert int(averaged.net.state_dict()["0.num_batches_tracked"]) == 17  # of 15 and 20, rounded down


def test_statistics_equal_torchs_and_nothing_else_changes():
    net = Chain(Norm(3), Norm(3), Noise())
    net.layers[1].training = False
    x = torch.randn(46, 3, dtype=torch.float64)
    twin = torch.nn.Sequential(*(torch.nn.BatchNorm1d(3, eps=1e-30, dtype=torch.float64) for _ in range(2)))
    torchs_update_bn(x.split(10), twin)
    state = torch.get_rng_state()
    update_bn(net, Batches(torch.utils.data.TensorDataset(x, x), 10))
    assert torch.equal(torch.get_rng_state(), state)
    for mine, other in zip(net.layers[:2], twin, strict=True):
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            torch.testing.assert_close(getattr(mine, name).value, getattr(other, name))
    assert [layer.training for layer in net.layers] == [True, False, True]
    before = copied(net)
    update_bn(net, [])
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: EMA(1.5), "EMA: decay must be a number between 0 and 1, got 1.5"),
        (lambda: EMA("0.9"), "EMA: decay must be a number between 0 and 1, got '0.9'"),
        (
            lambda: AveragedWeights(network(), -1),
            "AveragedWeights: decay must be a number between 0 and 1, or None, got",
        ),
        (lambda: SWA(1.0), "SWA: start must be a share of the epochs of at least 0.0 and below 1.0, or the number of"),
        (lambda: SWA(0), "SWA: start must be a share of the epochs"),
        (lambda: train(SWA(5)), "SWA: start must leave an epoch to average, got 5 in a run of epochs 1 to 4"),
        (lambda: train(SWA(), EMA()), "SWA: must be the only average of weights in a run, got EMA beside it"),
    ],
)
def test_what_is_refused(make, text):
    with pytest.raises(ArgumentError, match=f"^{text}"):
        make()


class Sees:
    @hookimpl
    def epoch_trained(self, run, epoch):
        assert len(run.history) == epoch - 1
        raise RuntimeError("heard")


def test_the_hook_before_the_judgement():
    with pytest.warns(PluginWarning, match=r"failed in epoch_trained \(RuntimeError: heard\)"):
        train(Sees(), epochs=1)
