"""Quantities see every gradient while the backward of a stranger's layers runs, and are the sums that they say."""

import math
import os
import signal
from functools import partial

import pytest
import torch
from sharing_nets import NETS
from toy_parts import SGD, Chain, Dense, Rectify, SquaredError, Table

from mytorch.core import ArgumentError, Buffer, EachSample, Module, OuterProducts, Parameter, Quantity
from mytorch.plugins import Callback
from mytorch.train import Interrupted, LateGradientError, fit, gradients, step, step_in_backward
from mytorch.train.quantities import (
    GradientNoise,
    LayerGradients,
    QuantityWarning,
    SampleNorms,
    sample_gradients,
    sample_norms,
    watch_gradients,
)
from mytorch.train.quantities.watched_step import WatchedStep

SLOWER = "mytorch.train.quantities.QuantityWarning"  # the layers of strangers here state nothing
pytestmark = [pytest.mark.numbers, pytest.mark.filterwarnings(f"ignore::{SLOWER}")]


class Diary(Quantity):
    """Writes down all that it is shown."""

    layers = True

    def __init__(self, per_sample=False):
        self.per_sample = per_sample
        self.seen, self.gradients = [], {}

    def layer(self, seen):
        self.seen.append(seen)

    def gradient(self, seen):
        assert seen.grad is seen.parameter.grad
        self.gradients[seen.name] = seen.grad.clone(), seen.samples


def network():
    torch.manual_seed(3)
    return Chain(Dense(3, 4), Rectify(), Dense(4, 2))


def batch(rows=5):
    return torch.randn(rows, 3), torch.randn(rows, 2)


def test_a_quantity_is_shown_what_each_layer_takes_saves_and_passes_on():
    net, diary, (x, t) = network(), Diary(), batch()
    watch_gradients(net, SquaredError(), x, t, [diary])
    assert [type(seen.module) for seen in diary.seen] == [Dense, Rectify, Dense, Chain]
    last, middle, first, whole = diary.seen
    assert first.inputs[0] is x
    assert last.inputs[0] is middle.output
    assert middle.inputs[0] is first.output
    assert middle.d_output is last.d_input
    assert first.saved is x
    assert len(whole.saved) == 3  # which the backward has emptied
    assert whole.saved[0] is first.saved
    assert whole.saved[2] is last.saved
    torch.testing.assert_close(net.layers[0].weight.grad, first.d_output.T @ first.inputs[0])
    assert all(seen.module is dict(net.named_modules())[seen.path] for seen in diary.seen)
    assert "forward" not in vars(net)


@pytest.mark.parametrize("take", [step, step_in_backward, partial(step, clip_grad_norm=0.1)])
@pytest.mark.parametrize("build", NETS.values(), ids=NETS)
def test_a_step_is_the_same_and_every_whole_gradient_is_seen_once(build, take):
    def run(watched):
        torch.manual_seed(3)
        net, diary = build(), Diary()
        optimizer = SGD(net.param(), lr=0.1)
        taken = WatchedStep(take, [diary]) if watched else take
        x, t = torch.randn(5, 3), torch.randn(5, 2)
        torch.manual_seed(4)
        gradients(net, SquaredError(), x, t)
        wanted = {name: parameter.grad for name, parameter in net.named_param() if parameter.grad is not None}
        net.zero_grad()
        torch.manual_seed(4)
        with torch.inference_mode():
            taken(net, SquaredError(), optimizer, x, t)
        return net.state_dict(), wanted, diary.gradients

    state, wanted, found = run(True)
    torch.testing.assert_close(state, run(False)[0], rtol=0, atol=0)
    assert found.keys() == wanted.keys()
    for name, (grad, _) in found.items():
        torch.testing.assert_close(grad, wanted[name])


@pytest.mark.parametrize("build", [build for name, build in NETS.items() if name != "chain"])  # which draws noise
def test_the_gradients_of_a_strangers_layers_are_those_of_a_loop(build):
    torch.manual_seed(3)
    net = build().double()
    x, t = torch.randn(4, 3).double(), torch.randn(4, 2).double()
    found = sample_gradients(net, SquaredError(), x, t)
    for sample in range(4):
        gradients(net, SquaredError(), x[sample : sample + 1], t[sample : sample + 1])
        for name, parameter in net.named_param():
            if parameter.grad is not None:
                torch.testing.assert_close(found[name][sample], parameter.grad, rtol=0, atol=1e-9)
        net.zero_grad()


def test_the_noise_is_that_of_its_formula():
    net, (x, t) = network().double(), (each.double() for each in batch())
    noise = GradientNoise(by_parameter=True)
    each = sample_gradients(net, SquaredError(), x, t)
    for _ in range(2):  # means over steps that are alike
        watch_gradients(net, SquaredError(), x, t, [noise])
        net.zero_grad()
    found = noise.results()
    assert sorted(found) == sorted(noise.names(net))
    for place, g in {"": torch.cat([one.flatten(1) for one in each.values()], 1), "/0.bias": each["0.bias"]}.items():
        g = g.flatten(1)
        trace = g.var(0).sum()
        signal = g.mean(0).square().sum() - trace / 5
        assert math.isclose(found[f"gradient_variance{place}"], trace, rel_tol=1e-9)
        assert math.isclose(found[f"gradient_snr{place}"], signal / trace, rel_tol=1e-9)
        assert math.isclose(found[f"noise_scale{place}"], trace / signal if signal > 0 else math.inf, rel_tol=1e-9)
    assert noise.results() == {}


def test_norms_of_samples_over_all_parameters():
    net, (x, t), norms = network(), batch(), SampleNorms()
    watch_gradients(net, SquaredError(), x, t, [norms])
    net.zero_grad()
    each = sample_gradients(net, SquaredError(), x, t)
    wanted = torch.cat([one.flatten(1) for one in each.values()], 1).norm(dim=1)
    found = norms.results()
    assert math.isclose(found["sample_norm_median"], wanted.median(), rel_tol=1e-5)
    assert math.isclose(found["sample_norm_max"], wanted.max(), rel_tol=1e-5)


def test_what_the_gradients_of_layers_are_like():
    net, (x, t), kept = network(), batch(), LayerGradients()
    net.layers[0].bias.value[1] = -100.0  # never opens
    watch_gradients(net, SquaredError(), x, t, [kept])
    grad = net.layers[0].weight.grad.clone()
    net.zero_grad()
    watch_gradients(net, SquaredError(), x, -t, [kept])
    other = net.layers[0].weight.grad
    found = kept.results()
    assert sorted(found) == sorted(kept.names(net))
    assert math.isclose(found["gradient_norm/0.weight"], (grad.norm() + other.norm()) / 2, rel_tol=1e-5)
    assert found["gradient_zeros/0.weight"] == float((grad == 0).float().mean() + (other == 0).float().mean()) / 2
    cosine = torch.cosine_similarity(grad.flatten(), other.flatten(), 0)
    assert math.isclose(found["gradient_cosine/0.weight"], cosine, rel_tol=1e-4)
    assert found["dead_units/0.weight"] >= 0.25


class StopAt(Callback):
    """Asks the process to end in the second epoch."""

    def batch_ended(self, epoch, batch):
        if (epoch, batch) == (2, 2):
            os.kill(os.getpid(), signal.SIGTERM)


def table(rows):
    generator = torch.Generator().manual_seed(2)
    return Table(torch.randn(rows, 3, generator=generator), torch.randn(rows, 2, generator=generator))


def trained(epochs=3, net=None, **options):
    net = net or network()
    made = [GradientNoise(), SampleNorms(), LayerGradients()]
    optimizer = SGD(net.param(), lr=0.05)
    options = {"batch_size": 8, "quiet": True, "quantities": made, **options}
    return fit(net, SquaredError(), optimizer, table(40), epochs=epochs, **options)


def test_the_history_has_the_results_and_training_is_as_without():
    torch.manual_seed(0)
    watched, plain = trained(), trained(quantities=())
    names = [name for each in watched.setup.step.quantities for name in each.names(watched.net)]
    assert all(set(names) <= record.keys() for record in watched.history)
    assert set(names) <= set(watched.columns)
    torch.testing.assert_close(watched.net.state_dict(), plain.net.state_dict(), rtol=0, atol=0)


def test_a_resumed_training_has_the_history_of_one_that_was_not_interrupted(tmp_path):
    whole = trained()
    with pytest.raises(Interrupted):
        trained(callbacks=[StopAt()], checkpoint=tmp_path / "c.safetensors")
    resumed = trained(resume=tmp_path / "c.safetensors")
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_gradients_that_were_there_before_are_added_to_and_not_shown():
    net, (x, t), noise, diary = network(), batch(), GradientNoise(), Diary()
    watch_gradients(net, SquaredError(), x, t, [noise])
    once, grads = noise.results(), [parameter.grad.clone() for parameter in net.param()]
    watch_gradients(net, SquaredError(), x, t, [noise, diary])
    assert noise.results() == once
    for (name, parameter), grad in zip(net.named_param(), grads, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * grad)
        torch.testing.assert_close(diary.gradients[name][0], grad)


def test_gradients_that_were_there_before_are_kept_where_a_quantity_fails():
    class Fails(Quantity):
        def gradient(self, seen):
            raise ValueError(seen.name)

    net = Chain(Dense(3, 2))
    watch_gradients(net, SquaredError(), *batch(), [])
    before = {name: parameter.grad.clone() for name, parameter in net.named_param()}
    with pytest.raises(ValueError):
        watch_gradients(net, SquaredError(), torch.zeros(5, 3), net(torch.zeros(5, 3)), [Fails()])
    for name, parameter in net.named_param():
        torch.testing.assert_close(parameter.grad, before[name])


@torch.no_grad()
def test_a_spread_below_rounding_is_none():
    torch.manual_seed(0)
    net, noise = Chain(Dense(4, 1)), GradientNoise()
    for _ in range(5):
        x, t = torch.ones(64, 4), 50 + 1e-3 * torch.randn(64, 1)
        watch_gradients(net, SquaredError(), x, t, [noise])
        assert noise.results()["gradient_variance"] >= 0


class States(Module):
    """y = gain * x, with whatever a stranger states of the gradients of single samples."""

    def __init__(self, stated):
        self.gain, self.stated = Parameter(torch.ones(2)), stated

    def forward(self, x):
        return self.gain.value * x, x

    def backward(self, d_y, x):
        self.gain.accumulate((d_y * x).sum(0))
        return self.gain.value * d_y

    def sample_gradients(self, d_y, x, axis):
        return self.stated(d_y * x)


@pytest.mark.parametrize(
    ("stated", "text"),
    [
        (
            lambda g: [EachSample(g)],
            r"of layer '1' \(States\) must return a dict of SampleGradients by name, or None",
        ),
        (lambda g: {"gian": EachSample(g)}, "must name parameters of the layer, gain, got 'gian'"),
        (lambda g: {"gain": g}, "must return, for 'gain', SampleGradients such as EachSample, got a Tensor"),
        (lambda g: {"gain": EachSample(g[:3])}, r"the sizes \(samples, .*\), \(5, 2\), got \(3, 2\)"),
        (lambda g: {"gain": EachSample(g.unsqueeze(1))}, r"got \(5, 1, 2\)"),
        (lambda g: {"gain": EachSample(g.sum())}, r"got \(\)"),
        (
            lambda g: {"gain": OuterProducts(g, g, (2,))},
            "parts fit together: OuterProducts: d_rows and rows must",
        ),
    ],
)
def test_what_a_stranger_states_is_checked(stated, text):
    with pytest.raises(ArgumentError, match=text):
        sample_norms(Chain(Dense(3, 2), States(stated)), SquaredError(), *batch())


def test_a_layer_that_states_nothing_is_told_of_once_in_a_training():
    with pytest.warns(QuantityWarning) as told:
        trained(quantities=[SampleNorms()])
    texts = sorted(str(each.message) for each in told)
    assert [text.split(" does")[0] for text in texts] == [f"quantities: layer '{at}' (Dense)" for at in (0, 2)]
    assert texts[0].endswith("so that its backward is called once for each sample, which takes longer")


@pytest.mark.filterwarnings(f"error::{SLOWER}")
def test_nothing_is_told_where_no_sample_is_asked_for_or_every_layer_states_them():
    trained(quantities=[LayerGradients()])
    sample_norms(States(lambda g: {"gain": EachSample(g)}), SquaredError(), torch.randn(5, 2), torch.randn(5, 2))


@pytest.mark.parametrize("given", [(torch.randn(6, 3), torch.arange(5)), (torch.randn(5, 3), torch.ones(()))])
def test_inputs_without_an_entry_for_each_sample_are_refused(given):
    with pytest.raises(
        ArgumentError, match=r"one entry for each of 5 samples along its first axis .*, got \((6, 3)?\)"
    ):
        sample_norms(Chain(Dense(3, 2)), SquaredError(), given, torch.randn(5, 2))


def test_what_a_stranger_states_rightly_is_taken():
    net, (x, t) = Chain(Dense(3, 2), States(lambda g: {"gain": EachSample(g)})), batch()
    gradients(net, SquaredError(), x, t)
    torch.testing.assert_close(sample_gradients(net, SquaredError(), x, t)["1.gain"].mean(0), net.layers[1].gain.grad)


class Named(Quantity):
    """Results of some names."""

    def __init__(self, *names):
        self.told = names

    def names(self, net):
        return list(self.told)


@pytest.mark.parametrize(
    ("quantities", "name"),
    [
        ([SampleNorms(), SampleNorms()], "sample_norm_min"),
        ([Named("train_loss")], "train_loss"),
        ([Named("lr")], "lr"),
        ([Named("one", "one")], "one"),
    ],
)
def test_a_name_that_occurs_twice_is_refused(quantities, name):
    with pytest.raises(ArgumentError, match=f"quantities: names must differ, got '{name}' twice"):
        trained(quantities=quantities)


class MixesBatch(Module):
    """x - mean of the batch, where the mean counts as a number."""

    def __init__(self):
        self.mean = Buffer(torch.zeros(()))

    def forward(self, x):
        return x - x.mean(0), None

    def backward(self, d_y, _saved):
        return d_y


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"engine": "compiled"}, "quantities: must be left out with an engine that compiles steps"),
        ({"engine": "auto"}, r"\(Auto\)"),
        ({"accumulate": 2}, "must be left out with accumulate = 2"),
        ({"precision": "bfloat16"}, "must be left out with precision = 'bfloat16'"),
        ({"step": lambda *_: 0}, "must be left out with a step of your own"),
        ({"quantities": [SquaredError()]}, "quantities: each must be a Quantity"),
        ({"net": Chain(Dense(3, 4), MixesBatch(), Dense(4, 2))}, r"got layer '1' \(MixesBatch\), which mixes"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_changes(options, text):
    net = options.get("net") or network()
    before = [parameter.value.clone() for parameter in net.param()]
    with pytest.raises((ArgumentError, TypeError), match=text):
        trained(**{**options, "net": net})
    assert all(map(torch.equal, before, (parameter.value for parameter in net.param())))


class Again(Module):
    """Sends its layer forward and backward once more, when its gradient was complete."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        y, saved = self.inner.forward(x)
        return y, (saved, x)

    def backward(self, d_y, saved):
        d_x = self.inner.backward(d_y, saved[0])
        y, again = self.inner.forward(saved[1])
        return d_x + self.inner.backward(torch.ones_like(y), again)


def test_a_gradient_that_comes_late_is_told():
    net = Chain(Again(Dense(3, 2)))
    with pytest.raises(LateGradientError, match=r"quantities: the gradient of 0\.inner\.weight must be complete"):
        watch_gradients(net, SquaredError(), *batch(), [Diary()])


def test_what_is_no_quantity_is_refused():
    with pytest.raises(ArgumentError, match="quantities: each must be a Quantity"):
        watch_gradients(network(), SquaredError(), *batch(), [3])
