"""Training on an accelerator, a GPU or a stand-in for one: what is where, and how often the device is waited for.

The variable ACCELERATOR names it.
"""

import math
import os
import subprocess
import sys

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Noise, Rectify, SquaredError

from mytorch.core import ArgumentError
from mytorch.train import (
    EMA,
    SWA,
    Batches,
    KeepBest,
    MeanAbsoluteError,
    NotFiniteError,
    evaluate,
    fit,
    lr_range_test,
)
from mytorch.train.device import choose_device, device_of, move
from mytorch.train.trackers import JSONLinesLogger

DEVICE = os.environ.get("ACCELERATOR", "standin")
if DEVICE == "standin":
    import standin

BATCHES, EPOCHS = 24, 3


def rows(seed=1, count=BATCHES * 5):
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randn(3, generator=generator), torch.randn(2, generator=generator)) for _ in range(count)]


def network():
    torch.manual_seed(3)
    return Chain(Dense(3, 4), Rectify(), Dense(4, 2))


def train(device, net=None, **options):
    net = net or network()
    options = {"epochs": EPOCHS, "batch_size": 5, "validation": rows(2), "quiet": True, "device": device, **options}
    return fit(net, SquaredError(), SGD(net.param(), lr=0.05, momentum=0.9), rows(), **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"accumulate": 3},
        {"clip_grad_norm": 0.1},
        {"optimizer_in_backward": True},
        {"metrics": [MeanAbsoluteError()]},
        {"drop_last": True, "shuffle": False},
        {"precision": "bfloat16-mixed"},
        {"precision": "float16-mixed", "clip_grad_norm": 0.1},
        {"precision": "bfloat16"},
    ],
)
def test_a_training_on_a_device_is_that_of_the_processor(options):
    ours, theirs = train("cpu", **options), train(DEVICE, **options)
    assert device_of(theirs.net).type == DEVICE
    for one, other in zip(ours.history, theirs.history, strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == pytest.approx(
            {k: v for k, v in other.items() if k != "seconds"}, rel=1e-5
        )


@pytest.mark.parametrize("make", [KeepBest, lambda: EMA(0.9), lambda: SWA(start=2)])
def test_callbacks_that_copy_weights_work_there(make):
    ours, theirs = train("cpu", callbacks=[make()]), train(DEVICE, callbacks=[make()])
    for one, other in zip(ours.net.param(), theirs.net.param(), strict=True):
        assert torch.allclose(one.value, other.value.cpu(), atol=1e-5)


@pytest.mark.skipif(DEVICE != "standin", reason="tests/test_cuda.py counts for each way of training")
def test_the_loop_does_not_wait_for_the_device_at_each_batch():
    def waited(epochs):
        standin.reads.clear()
        train(DEVICE, epochs=epochs, validation=None)
        return len(standin.reads)

    first, second = waited(2), waited(3)
    assert 0 < second - first < BATCHES / 2


def test_a_data_loader_and_named_inputs_go_there_too():
    def forward_of(batches):
        return [value.device.type for inputs, targets in batches for value in (*_leaves(inputs), targets)]

    for data, size in (
        (torch.utils.data.DataLoader(rows(), batch_size=60), 1),
        ([({"x": x}, t) for x, t in rows()], 60),
    ):
        batches = Batches(data, size)
        batches.device = torch.device(DEVICE)
        assert set(forward_of(batches)) == {DEVICE}


def _leaves(value):
    return list(value.values()) if isinstance(value, dict) else [value]


def test_a_net_that_is_there_already_stays_and_its_batches_follow():
    net = network().to(DEVICE)
    training = train(None, net=net)
    assert device_of(training.net).type == DEVICE
    assert math.isfinite(training.history[-1]["validation_loss"])
    assert evaluate(net, SquaredError(), rows(2))["loss"] == pytest.approx(
        training.history[-1]["validation_loss"], rel=1e-6
    )


def test_a_run_goes_on_there_from_its_checkpoint(tmp_path):
    whole = train(DEVICE, epochs=4)
    train(DEVICE, epochs=2, checkpoint=tmp_path / "kept")
    resumed = train(DEVICE, epochs=4, resume=tmp_path / "kept")
    for one, other in zip(whole.net.param(), resumed.net.param(), strict=True):
        assert torch.equal(one.value.cpu(), other.value.cpu())
    assert [r["validation_loss"] for r in whole.history] == [r["validation_loss"] for r in resumed.history]


def test_a_value_that_is_not_finite_is_found_there():
    net = network()
    net.layers[2].weight.value[0, 0] = 1e38
    with pytest.raises(NotFiniteError, match=r"the first value that is not finite is .*Dense"):
        train(DEVICE, net=net)


def test_the_range_test_and_trackers_work_there(tmp_path):
    net = network().to(DEVICE)
    optimizer = SGD(net.param(), lr=0.05)
    found = lr_range_test(net, SquaredError(), optimizer, rows(), batch_size=5, steps=20)
    assert len(found.rates) > 5
    train(None, net=net, callbacks=[JSONLinesLogger(str(tmp_path / "a"))], epochs=1)
    assert "gradient_norm/0.weight" in (tmp_path / "a").read_text()


def test_dropout_draws_there():
    torch.manual_seed(3)
    training = train(DEVICE, net=Chain(Dense(3, 4), Noise(), Dense(4, 2)))
    assert math.isfinite(training.history[-1]["train_loss"])


# Choosing


def test_names_of_devices_are_read():
    assert choose_device("fit", "cpu") == torch.device("cpu")
    assert choose_device("fit", DEVICE).type == DEVICE
    assert choose_device("fit", torch.device("cpu")).type == "cpu"


def test_auto_takes_the_processor_where_there_is_nothing_else():
    code = "from mytorch.train.device import choose_device; print(choose_device('fit', 'auto'))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    there = torch.accelerator.current_accelerator(check_available=True) if torch.cuda.is_available() else None
    assert found == ("cpu" if there is None else there.type)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gpu", "fit: device must be one that torch knows, such as cpu or cuda:0, got 'gpu'"),
        ("meta", "fit: device must be one that stores numbers, such as cpu, cuda or auto, got 'meta'"),
        (
            "cuda",
            "fit: device must be one that this machine and this build of torch have, .* got 'cuda'; device = \"auto\"",
        ),
        ("mps", "fit: device must be one that this machine and this build of torch have"),
    ],
)
def test_a_device_that_is_not_there_is_refused_before_anything_moves(name, text):
    if (name == "cuda" and torch.cuda.is_available()) or (name == "mps" and torch.backends.mps.is_available()):
        pytest.skip("it is there")
    net = network()
    with pytest.raises(ArgumentError, match=text):
        train(name, net=net)
    assert device_of(net).type == "cpu"


def test_move_reaches_into_dicts_tuples_and_lists():
    there = torch.device(DEVICE)
    moved = move({"a": torch.ones(2), "b": (torch.ones(1), [torch.ones(1)], None, 3)}, there)
    assert moved["a"].device.type == moved["b"][0].device.type == moved["b"][1][0].device.type == DEVICE
    assert moved["b"][2:] == (None, 3)


def test_the_stand_in_refuses_tensors_on_two_devices():
    with pytest.raises(RuntimeError, match="xpected all tensors to be on the same device"):
        torch.ones(2).to(DEVICE) + torch.ones(2)
