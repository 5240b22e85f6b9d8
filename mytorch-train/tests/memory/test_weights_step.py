"""A training whose weights lie on disk has the results of one in memory, to the bit."""

import tempfile
from contextlib import ExitStack

import pytest
import torch
from small_disk import limited
from toy_parts import SGD, Chain, Dense, Noise, Rectify, SquaredError, Table

from mytorch.core import ArgumentError, Buffer, Module
from mytorch.plugins import Callback, FileError
from mytorch.train import EMA, SWA, KeepBest, fit, load_model, on_disk, save_model, step
from mytorch.train.memory.mapped import LEAST, is_on_disk
from mytorch.train.memory.weights_step import are_weights_on_disk

pytestmark = pytest.mark.numbers
WIDTH = 130  # its square is more than LEAST bytes of float32


def network():
    torch.manual_seed(3)
    return Chain(
        Dense(3, WIDTH), Rectify(), Noise(), Dense(WIDTH, WIDTH), Rectify(), Dense(WIDTH, WIDTH), Dense(WIDTH, 2)
    )


def table(rows=200):
    generator = torch.Generator().manual_seed(2)
    return Table(torch.randn(rows, 3, generator=generator), torch.randn(rows, 2, generator=generator))


def trained(net=None, optimizer=None, **options):
    net = network() if net is None else net
    optimizer = SGD(net.param(), lr=0.02, momentum=0.9) if optimizer is None else optimizer
    given = {"epochs": 3, "batch_size": 64, "quiet": True, **options}
    return net, fit(net, SquaredError(), optimizer, table(), **given)


def require_same(net, other):
    for (name, value), again in zip(net.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(value, again), name


def large(net):
    return [parameter for parameter in net.param() if parameter.value.nbytes >= LEAST]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer_in_backward": True},
        {"clip_grad_value": 0.01},
        {"saved": "disk"},
        {"memory": "1 MiB"},
        {"validation": table(50), "callbacks": [KeepBest()]},
        {"validation": table(50), "callbacks": [EMA(0.8)]},
        {"callbacks": [SWA(1)]},
    ],
    ids=str,
)
def test_the_disk_changes_nothing(options):
    net, training = trained(**options)
    other, of_disk = trained(weights="disk", **options)
    require_same(net, other)
    for line, again in zip(training.history, of_disk.history, strict=True):
        assert {**line, "seconds": 0} == {**again, "seconds": 0}
    assert len(large(other)) == 2
    for parameter in large(other):
        assert is_on_disk(parameter.value)
        assert is_on_disk(of_disk.optimizer.state[parameter]["momentum_buffer"])
        assert parameter.grad is None


def test_what_a_training_keeps_lies_on_disk_too(tmp_path):
    kept = {}

    class Look(Callback):
        def epoch_ended(self, run):
            found = {"best": best.values, "average": [value for _, value in average.averages]}
            found["start"] = run._start._copies
            kept.update({name: [one for one in values if one.nbytes >= LEAST] for name, values in found.items()})

    best, average = KeepBest("train_loss"), EMA(0.5)
    trained(weights="disk", callbacks=[best, average, Look()], checkpoint=tmp_path / "state")
    assert {name: len(values) for name, values in kept.items()} == {"best": 2, "average": 2, "start": 4}
    assert all(is_on_disk(value) for values in kept.values() for value in values)


def test_a_training_goes_on_and_is_resumed(tmp_path):
    net, _ = trained(epochs=4, weights="disk")
    other, first = trained(epochs=2, weights="disk", checkpoint=tmp_path / "state")
    places = [parameter.value.data_ptr() for parameter in large(other)]
    trained(other, first.optimizer, epochs=2, weights="disk")
    assert [parameter.value.data_ptr() for parameter in large(other)] == places  # what lies there is not moved
    require_same(net, other)
    again, resumed = trained(epochs=4, weights="disk", resume=tmp_path / "state")
    require_same(net, again)
    for parameter in large(again):
        assert is_on_disk(parameter.value)
        assert is_on_disk(resumed.optimizer.state[parameter]["momentum_buffer"])
    back, third = trained(epochs=4, optimizer_in_backward=True, resume=tmp_path / "state")  # as one in memory
    require_same(net, back)
    assert not any(is_on_disk(third.optimizer.state[parameter]["momentum_buffer"]) for parameter in large(back))


def test_the_state_of_a_training_in_memory_is_moved():
    net, first = trained(epochs=1, optimizer_in_backward=True)
    trained(net, first.optimizer, epochs=1, weights="disk")
    for parameter in large(net):
        assert is_on_disk(first.optimizer.state[parameter]["momentum_buffer"])


def test_a_model_is_saved_and_loaded_there(tmp_path):
    net, _ = trained(weights="disk")
    save_model(net, tmp_path, {})
    with on_disk():
        again = load_model(tmp_path, {"Chain": Chain, "Dense": Dense, "Rectify": Rectify, "Noise": Noise})
    require_same(net, again)
    assert all(is_on_disk(parameter.value) for parameter in large(again))


class Shared(Module):
    """y = x weight^T, where a buffer lies in the memory of the weight."""

    def __init__(self):
        self.inner = Dense(WIDTH, WIDTH, bias=False)
        self.same = Buffer(self.inner.weight.value)

    def forward(self, x):
        return self.inner.forward(x)

    def backward(self, d_y, saved):
        return self.inner.backward(d_y, saved)


def test_tensors_that_share_memory_go_on_to_do_so():
    net = Chain(Dense(3, WIDTH), Shared(), Dense(WIDTH, 2))
    trained(net, weights="disk")
    inner = net.layers[1]
    assert inner.same.value.data_ptr() == inner.inner.weight.value.data_ptr()
    assert not is_on_disk(inner.same.value)


@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_a_disk_without_room_ends_the_training_and_loses_nothing(tmp_path, monkeypatch, allowed):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made, make = [], tempfile.mkstemp

    def limited_make(**options):
        made.append(options)
        if len(made) > allowed:
            raise OSError(28, "No space left on device")
        return make(**options)

    monkeypatch.setattr(tempfile, "mkstemp", limited_make)
    net, plain = network(), network()
    text = f"weights: the disk of {tmp_path} must have room .*, got No space left on device at a tensor of 66.02 KiB"
    with pytest.raises(FileError, match=text):
        trained(net, weights="disk")
    assert sum(is_on_disk(parameter.value) for parameter in net.param()) == min(allowed, 2)
    require_same(net, plain)  # no step was taken
    monkeypatch.undo()
    for one in (net, plain):
        torch.manual_seed(5)
        trained(one)
    require_same(net, plain)


def test_a_disk_that_gets_full_in_the_middle_of_a_step(tmp_path):
    class Fill(Callback):
        def batch_ended(self, run):
            run.optimizer.state.clear()
            full.enter_context(limited(LEAST - 1))

    given = {"weights": "disk", "checkpoint": tmp_path / "state"}
    trained(epochs=1, **given)
    net = network()
    with ExitStack() as full, pytest.raises(FileError, match=r"got File too large at a tensor of 66\.02 KiB"):
        trained(net, callbacks=[Fill()], resume=tmp_path / "state", **given)
    assert all(value.isfinite().all() for value in net.state_dict().values())
    again, _ = trained(resume=tmp_path / "state", **given)
    whole, _ = trained()
    require_same(again, whole)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"weights": "ram"}, "^weights: must be 'disk', or left out, got 'ram'$"),
        ({"weights": True}, "weights: must be 'disk', or left out, got True"),
        (
            {"engine": "auto"},
            r"must be left out with an engine that compiles steps \(Auto\), whose .*, got 'disk'; use",
        ),
        ({"engine": "compiled"}, "weights: must be left out with an engine that compiles steps"),
        (
            {"precision": "bfloat16"},
            "weights: must be left out with precision = 'bfloat16', since the values that are",
        ),
        ({"clip_sample_norm": 1.0}, "weights: must be left out with clip_sample_norm = 1.0, since the norms of"),
        ({"clip_grad_norm": 1.0}, "weights: must be left out with clip_grad_norm = 1.0, since the norm over all"),
        ({"accumulate": 2}, "weights: must be left out with accumulate = 2, since a gradient is complete only after"),
        ({"step": step}, r"weights: must be left out with a step of your own \(step\), which has to do this itself"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(options, text):
    net, plain = network(), network()
    with pytest.raises(ArgumentError, match=text):
        trained(net, **{"weights": "disk", **options})
    require_same(net, plain)
    assert not any(is_on_disk(parameter.value) for parameter in net.param())


def test_an_optimizer_that_mixes_parameters_is_refused():
    class Mixing(SGD):
        mixes_parameters = True

    net = network()
    with pytest.raises(
        ArgumentError, match=r"weights: Mixing: parameters must be updated all at once, .*; leave weights"
    ):
        trained(net, Mixing(net.param()), weights="disk")


def test_a_net_on_another_device_is_refused():
    net = network().to("meta")
    with pytest.raises(
        ArgumentError, match=r"weights: must be left out with a net on meta, which .*; train on the CPU"
    ):
        trained(net, weights="disk")


def test_which_steps_are_such():
    _, training = trained(weights="disk", saved="disk", epochs=1)
    assert are_weights_on_disk(training.setup.step)
    assert "weights" not in training.setup.step.keywords  # so that a checkpoint serves both
    for options in ({}, {"saved": "disk"}, {"optimizer_in_backward": True}):
        assert not are_weights_on_disk(trained(epochs=1, **options)[1].setup.step)
