"""Steps in half precision: layers compute in it, values and all that an optimizer sees stay float32."""

import math

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Points, Ramp, Rectify, SquaredError, Table, encoded, network

from mytorch.core import ArgumentError, Buffer, DtypeError, Module, Parameter, StateError
from mytorch.train import EMA, NotFiniteError, Setup, explain_setup, fit, gradients, lr_range_test
from mytorch.train.batches import Batches
from mytorch.train.choose_step import choose_step
from mytorch.train.half_precision import PRECISIONS, loss_scale, make_precision
from mytorch.train.half_precision.loss_scale import LossScale
from mytorch.train.snapshot import Snapshot

MIXED = pytest.mark.parametrize("name", ["bfloat16-mixed", "float16-mixed"])
ALL = pytest.mark.parametrize("name", PRECISIONS)


class Watch(Module):
    """y = x; keeps what went through it."""

    def __init__(self):
        self.seen = []

    def forward(self, x):
        self.seen.append(x)
        return x, None

    def backward(self, d_y, saved):
        self.seen.append(d_y)
        return d_y


class Average(Module):
    """y = weight * (x - running mean): a layer with statistics."""

    def __init__(self, features):
        self.weight = Parameter(torch.ones(features))
        self.mean = Buffer(torch.zeros(features))

    def forward(self, x):
        self.mean.value.lerp_(x.mean(0), 1e-4)
        n = x - self.mean.value
        return self.weight.value * n, n

    def backward(self, d_y, n):
        self.weight.accumulate((d_y * n).sum(0))
        return d_y * self.weight.value


class Scaled(Module):
    """A container with a buffer of its own, which is written into."""

    def __init__(self, inner):
        self.inner, self.factor = inner, Buffer(torch.tensor(1.0))

    def forward(self, x):
        y, saved = self.inner.forward(x * self.factor.value)
        self.factor.value.fill_(1.5)
        return y, saved

    def backward(self, d_y, saved):
        return self.inner.backward(d_y, saved)


def batch(rows=12):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(rows, 3, generator=generator), torch.randn(rows, 2, generator=generator)


def dense():
    torch.manual_seed(0)
    return Chain(Dense(3, 5), Rectify(), Dense(5, 2))


@MIXED
@pytest.mark.parametrize("inference", [False, True])
def test_gradients_are_those_of_autograd_through_copies(name, inference):
    net, (x, t) = dense(), batch()
    values = [parameter.value for parameter in net.param()]
    masters = [value.clone().requires_grad_() for value in values]
    w1, b1, w2, b2 = (master.to(PRECISIONS[name]) for master in masters)
    h = torch.relu(x.to(PRECISIONS[name]) @ w1.T + b1)
    loss = torch.nn.functional.mse_loss((h @ w2.T + b2).float(), t)
    (loss * (2**16 if name == "float16-mixed" else 1)).backward()
    precision = make_precision(name)
    with torch.inference_mode(inference):
        value, weight = precision.gradients(net, SquaredError(), x, t)
        precision.update(SGD(net.param(), 0.1), lambda: None)
    torch.testing.assert_close(value, loss.detach(), rtol=1e-6, atol=0)
    assert weight == SquaredError().weight_of(t, t)
    for parameter, own, master in zip(net.param(), values, masters, strict=True):
        assert parameter.value is own
        assert parameter.grad.dtype is torch.float32
        expected = master.grad / (2**16 if name == "float16-mixed" else 1)
        torch.testing.assert_close(parameter.grad, expected, rtol=2e-2, atol=2e-3)


@MIXED
def test_layers_compute_in_half_precision_and_nothing_else_does(name):
    watch, half = Watch(), PRECISIONS[name]
    net = Chain(Dense(3, 5), Average(5), watch, Dense(5, 2))
    last = Watch()
    net.layers += (last,) if isinstance(net.layers, tuple) else [last]
    optimizer = SGD(net.param(), 0.1, momentum=0.9)
    take = choose_step(optimizer, precision=name)
    while not optimizer.state:  # the first steps may be left out in float16
        value, _ = take(net, SquaredError(), optimizer, *batch())
    assert {seen.dtype for seen in (*watch.seen, *last.seen)} == {half}
    assert value.dtype is torch.float32
    assert {parameter.value.dtype for parameter in net.param()} == {torch.float32}
    assert {held["momentum_buffer"].dtype for held in optimizer.state.values()} == {torch.float32}
    y = net.forward(batch()[0])[0]
    assert y.dtype is torch.float32  # outside of a step, and so in evaluation


@ALL
def test_statistics_are_computed_in_float32(name):
    plain, mixed = Chain(Average(3), Dense(3, 2)), Chain(Average(3), Dense(3, 2))
    for net in (plain, mixed):
        net.layers[0].mean.value.fill_(1.0)
    x, t = batch()
    for _ in range(50):  # each moves the mean by less than half precision can tell from 1
        gradients(plain, SquaredError(), x + 2, t)
        precision = make_precision(name)
        with precision.storing(mixed):
            precision.gradients(mixed, SquaredError(), x + 2, t)
    mean = mixed.layers[0].mean.value
    assert mean.dtype is torch.float32
    torch.testing.assert_close(mean - 1, plain.layers[0].mean.value - 1, rtol=2e-2, atol=0)


def test_a_net_that_is_one_layer_with_statistics_computes_in_float32():
    net, (x, _) = Average(3), batch()
    make_precision("bfloat16-mixed").gradients(net, SquaredError(), x, torch.zeros(12, 3))
    mixed = net.weight.grad
    net.weight.grad = None
    gradients(net, SquaredError(), x, torch.zeros(12, 3))
    torch.testing.assert_close(net.weight.grad, mixed, rtol=1e-3, atol=0)


def test_what_a_container_writes_into_its_buffer_is_kept():
    net = Scaled(dense())
    own = net.factor.value
    make_precision("bfloat16-mixed").gradients(net, SquaredError(), *batch())
    assert net.factor.value is own
    assert own.item() == 1.5


@MIXED
def test_inputs_by_name_and_whole_numbers(name):
    class Two(Module):
        def __init__(self):
            self.inner = Dense(3, 2)

        def forward(self, x, rows, *, factor):
            assert (rows.dtype, x.dtype, factor) == (torch.int64, PRECISIONS[name], 2.0)
            y, saved = self.inner.forward(x[rows])
            return y * factor, saved

        def backward(self, d_y, saved):
            self.inner.backward(d_y * 2.0, saved)
            return None, None

    net, (x, t) = Two(), batch()
    inputs = {"x": x, "rows": torch.arange(12), "factor": 2.0}
    value, _ = make_precision(name).gradients(net, SquaredError(), inputs, t)
    assert value.isfinite()
    with pytest.raises(ArgumentError, match="factor"):
        make_precision(name).gradients(net, SquaredError(), (x, torch.arange(12)), t)


def test_small_gradients_come_through_in_float16():
    net, (x, t) = Chain(Dense(3, 2)), batch()
    with torch.no_grad():
        t = net(x.half().float()) + 1e-7  # so small that float16 has no such gradients
    precision = make_precision("float16-mixed")
    precision.gradients(net, SquaredError(), x, t)
    precision.update(SGD(net.param(), 0.1), lambda: None)
    scaled = net.param()[1].grad.clone()
    net.zero_grad()
    precision.loss_scale = LossScale(1.0)
    precision.gradients(net, SquaredError(), x, t)
    assert not torch.equal(net.param()[1].grad, scaled)


class Huge(SquaredError):
    """A loss of which float16 cannot hold the scaled gradient."""

    factor = 1e3

    def backward(self, d_value, saved):
        return super().backward(d_value * self.factor, saved)


def test_a_step_whose_gradients_are_not_finite_is_left_out_and_the_scale_adapts(monkeypatch):
    monkeypatch.setattr(loss_scale, "INTERVAL", 3)
    net, loss = dense(), Huge()
    optimizer = SGD(net.param(), 0.0001, momentum=0.9)
    take = choose_step(optimizer, precision="float16-mixed")
    scale = take.keywords["precision"].loss_scale
    before = [parameter.value.clone() for parameter in net.param()]
    take(net, loss, optimizer, *batch())
    torch.testing.assert_close([parameter.value for parameter in net.param()], before, rtol=0, atol=0)
    assert not optimizer.state
    assert all(parameter.grad is None for parameter in net.param())
    assert scale.state_dict() == {"scale": 2.0**15, "good": 0, "skipped": 1}
    while scale.factor > 1 and not optimizer.state:
        take(net, loss, optimizer, *batch())
    left = scale.factor
    assert left < 2.0**10
    for _ in range(2):
        take(net, loss, optimizer, *batch())
    assert scale.factor == 2 * left


def test_gradients_that_are_finite_at_no_scale_end_the_training():
    net = dense()
    optimizer = SGD(net.param(), 0.1)
    loss = Huge()
    loss.factor = math.inf
    text = (
        "float16-mixed: gradients must be finite with a scaled loss, got values that are not at a scale of 6.1.*e-05"
    )
    with pytest.raises(NotFiniteError, match=text):
        fit(net, loss, optimizer, Table(*batch()), epochs=40, batch_size=12, quiet=True, precision="float16-mixed")


def test_gradients_are_clipped_after_the_scale_is_taken_out():
    nets = [dense(), dense()]
    for net, name in zip(nets, (None, "float16-mixed"), strict=True):
        optimizer = SGD(net.param(), 1.0)
        choose_step(optimizer, 0.01, precision=name)(net, SquaredError(), optimizer, *batch())
    for one, other, start in zip(nets[0].param(), nets[1].param(), dense().param(), strict=True):
        torch.testing.assert_close(other.value - start.value, one.value - start.value, rtol=1e-2, atol=1e-5)


@ALL
def test_several_batches_make_one_step(name):
    whole, parts = dense(), dense()
    x, t = batch()
    for net, inputs, targets, accumulate in ((whole, x, t, 1), (parts, x.split(5), t.split(5), 3)):
        optimizer = SGD(net.param(), 0.1)
        take = choose_step(optimizer, accumulate=accumulate, precision=name)
        if name == "float16-mixed":
            take.keywords["precision"].loss_scale = LossScale(2.0**8)
        with take.keywords["precision"].storing(net):
            take(net, SquaredError(), optimizer, inputs, targets)
    atol = 4e-3 if name == "bfloat16" else 3e-4  # gradients and values are rounded, too
    for one, other, start in zip(whole.param(), parts.param(), dense().param(), strict=True):
        torch.testing.assert_close(other.value - start.value, one.value - start.value, rtol=3e-2, atol=atol)


def points():
    data = encoded(Points(40, 0))
    return Table(data.inputs, data.targets)


@ALL
def test_a_training_comes_as_far_as_in_float32(name):
    losses = {}
    for precision in (None, name):
        torch.manual_seed(1)
        net = network()
        run = fit(
            net,
            SquaredError(),
            SGD(net.param(), 0.2),
            points(),
            epochs=30,
            batch_size=8,
            quiet=True,
            precision=precision,
        )
        losses[precision] = run.history[-1]["train_loss"]
    assert losses[name] == pytest.approx(losses[None], rel=0.1)


def test_a_resumed_run_goes_on_with_the_scale(tmp_path):
    def train(epochs, **options):
        torch.manual_seed(1)
        net = network()
        optimizer = SGD(net.param(), 0.05, momentum=0.9)
        given = {"schedule": Ramp(optimizer, 20), "callbacks": [EMA(0.9)], "precision": "float16-mixed"} | options
        loss = Huge()
        return fit(net, loss, optimizer, points(), epochs=epochs, batch_size=8, quiet=True, **given)

    whole = train(4)
    assert whole.setup.precision.state_dict()["skipped"] > 0
    file = tmp_path / "checkpoint.safetensors"
    train(2, checkpoint=file)
    resumed = train(4, resume=file)
    torch.testing.assert_close(resumed.net.state_dict(), whole.net.state_dict(), rtol=0, atol=0)
    assert resumed.setup.precision.state_dict() == whole.setup.precision.state_dict()


def test_the_scale_is_put_back_with_everything_else():
    net = dense()
    optimizer = SGD(net.param(), 0.1)
    setup = Setup(
        net, Huge(), optimizer, Batches(Table(*batch()), 4), None, choose_step(optimizer, precision="float16-mixed")
    )
    before = setup.precision.state_dict()
    snapshot = Snapshot(setup)
    snapshot.take()
    setup.take_step(*batch())
    assert setup.precision.state_dict() != before
    snapshot.restore()
    assert setup.precision.state_dict() == before
    explain_setup(setup)
    assert setup.precision.state_dict() == before
    with pytest.raises(StateError, match=r"^LossScale: state must hold scale, good and skipped, got nothing$"):
        setup.precision.load_state_dict({})


def test_a_search_for_what_is_not_finite_does_not_stop_at_a_step_that_was_left_out():
    x, t = batch()
    x[9] = math.inf
    net = dense()
    options = {"batch_size": 4, "shuffle": False, "quiet": True, "precision": "float16-mixed"}
    with pytest.raises(NotFiniteError, match=r"in epoch 1, batch 3: the first value .* is the inputs of the batch"):
        fit(net, Huge(), SGD(net.param(), 0.1), Table(x, t), epochs=1, **options)


def test_the_range_test_takes_it():
    net = dense()
    data = Table(*batch())
    found = lr_range_test(
        net, SquaredError(), SGD(net.param(), 0.1), data, batch_size=4, steps=20, precision="bfloat16-mixed"
    )
    assert len(found.rates) > 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"precision": "bfloat16-mixd"},
            r"precision: must be one of bfloat16-mixed, float16-mixed, bfloat16, or left out, got 'bfloat16-mixd'\. ",
        ),
        (
            {"precision": []},
            r"precision: must be one of bfloat16-mixed, float16-mixed, bfloat16, or left out, got \[\]\. Known",
        ),
        ({"precision": "x" * 100_000}, r"precision: must be .*, got 'x{90,200}\.\.\.x{1,100}'\. Known"),
        (
            {"precision": "float16-mixed", "optimizer_in_backward": True},
            "optimizer_in_backward: must be left out with precision = 'float16-mixed', since the values that",
        ),
        (
            {"precision": "bfloat16", "optimizer_in_backward": True},
            "optimizer_in_backward: must be left out with precision = 'bfloat16', since the values that",
        ),
        (
            {"precision": "float16-mixed", "step": lambda net, loss, optimizer, inputs, targets: 1.0},
            "precision: must be left out with a step of your own \\(<lambda>\\), which",
        ),
    ],
)
def test_what_does_not_go_together(options, text):
    net = dense()
    with pytest.raises(ArgumentError, match=f"^{text}"):
        fit(net, SquaredError(), SGD(net.param(), 0.1), Table(*batch()), epochs=1, batch_size=4, quiet=True, **options)


def test_values_of_another_dtype_are_refused():
    net = dense().to(torch.float64)
    with pytest.raises(DtypeError, match=r"^bfloat16-mixed: parameters must be float32, got torch.float64 in '0.w"):
        make_precision("bfloat16-mixed").gradients(net, SquaredError(), *batch())
