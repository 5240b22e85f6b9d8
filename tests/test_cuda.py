"""Training on a GPU: as on the processor, without waiting for it at each batch, resumed to the bit, and bad input.

`python -m pytest -m cuda` runs these and the others that need a GPU.
"""

import gc
import math
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import pytest
import torch

from mytorch.experiments import judge, load, train_experiment
from mytorch.nn import (
    LSTM,
    Add,
    BatchNorm2d,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    Flatten,
    Identity,
    LastStep,
    LayerNorm,
    Linear,
    MaxPool2d,
    MSELoss,
    Permute,
    ReLU,
    Sequential,
    Take,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from mytorch.optim import SGD, AdamW, OneCycleLR
from mytorch.plugins import Callback
from mytorch.train import EMA, Accuracy, fit, step, step_in_backward
from mytorch.train.compiled.warning import EngineWarning

pytestmark = pytest.mark.cuda

ROWS, CLASSES, STEPS = 96, 5, 12


def perceptron():
    return Sequential(Linear(8, 32), ReLU(), Dropout(0.2), Linear(32, CLASSES))


def residual():
    block = Sequential(Conv2d(6, 6, 3, padding=1, bias=False), BatchNorm2d(6), ReLU())
    return Sequential(
        Conv2d(3, 6, 3, padding=1),
        BatchNorm2d(6),
        ReLU(),
        Add(block, Identity()),
        MaxPool2d(2),
        Flatten(),
        Linear(96, CLASSES),
    )


def gpt():
    layer = TransformerEncoderLayer(16, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True, is_causal=True)
    return Sequential(
        Embedding(20, 16), TransformerEncoder(layer, 2, LayerNorm(16)), Linear(16, 20), Permute([0, 2, 1])
    )


def recurrent():
    return Sequential(LSTM(4, 16, batch_first=True), Take(0), LastStep(), Linear(16, CLASSES))


def rows_of(make):
    generator = torch.Generator().manual_seed(5)
    classes = torch.arange(ROWS) % CLASSES
    if make is gpt:
        tokens = torch.randint(20, (ROWS, STEPS + 1), generator=generator)
        return list(zip(tokens[:, :-1], tokens[:, 1:], strict=True))
    shape = {perceptron: (8,), residual: (3, 8, 8), recurrent: (STEPS, 4)}[make]
    x = torch.randn(ROWS, *shape, generator=generator) + classes.view(-1, *(1 for _ in shape))
    return list(zip(x, classes, strict=True))


NETWORKS = [perceptron, residual, gpt, recurrent]
each_network = pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
each_option = pytest.mark.parametrize(
    "options",
    [
        {},
        {"clip_grad_norm": 0.5},
        {"clip_grad_value": 0.01},
        {"accumulate": 2},
        {"optimizer_in_backward": True},
        {"precision": "bfloat16-mixed"},
        {"precision": "bfloat16"},
        {"precision": "float16-mixed"},
    ],
    ids=str,
)


def build(make):
    torch.manual_seed(3)
    net = make()
    return net, SGD(net.param(), lr=0.05, momentum=0.9)


def train(make, device, epochs=3, same=True, **options):
    """same: without dropout, of which a GPU has other numbers."""
    net, optimizer = build(make)
    for module in net.modules() if same else ():
        if isinstance(module, Dropout):
            module.p = 0.0
    options = {"epochs": epochs, "batch_size": 8, "validation": rows_of(make)[:24], "quiet": True} | options
    return fit(net, CrossEntropyLoss(), optimizer, rows_of(make), device=device, **options)


@pytest.fixture
def exact(monkeypatch):
    """Kernels of which each computes in one order, and float32 in full."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


@each_network
@each_option
def test_a_training_is_that_of_the_processor(make, options, exact):
    here, there = train(make, "cpu", **options), train(make, "cuda", **options)
    half = options.get("precision")  # in which the rounding of two steps is soon that of two trainings
    tolerance = {"rel": 0.05, "abs": 0.02} if half else {"rel": 1e-3, "abs": 1e-4}
    for key in ("train_loss", "validation_loss"):
        ours, theirs = ([r[key] for r in each.history[: 1 if half else None]] for each in (here, there))
        assert theirs == pytest.approx(ours, **tolerance)
    assert there.history[-1]["train_loss"] < there.history[0]["train_loss"]
    assert {p.value.device.type for p in there.net.param()} == {"cuda"}


def waits(make, rows, **options):
    """How often a training waits for the GPU, by where it does."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            net, optimizer = build(make)
            data = rows_of(make) * (rows // ROWS)
            fit(net, CrossEntropyLoss(), optimizer, data, epochs=2, batch_size=8, quiet=True, device="cuda", **options)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return [warning for warning in caught if "synchroniz" in str(warning.message)]


@each_network
@each_option
def test_no_batch_waits_for_the_gpu(make, options):
    few, many = waits(make, ROWS, **options), waits(make, 4 * ROWS, **options)
    batches = 2 * 3 * ROWS // 8 // options.get("accumulate", 1)
    places = {f"{Path(w.filename).name}:{w.lineno}" for w in many}
    if options.get("precision") == "float16-mixed":  # Python decides whether the update is left out
        assert len(many) - len(few) <= batches, places
    else:
        assert len(many) == len(few), places


KILLED = """
    import sys
    sys.path.insert(0, {folder!r})
    import test_cuda
    test_cuda.train_in_a_process({make!r}, {path!r}, {kill!r}, {resume!r}, {options!r})
"""


class KillAfterACheckpoint(Callback):
    """Kills the process once a checkpoint of the second epoch is complete."""

    def __init__(self, path):
        self.path, self.since = Path(path), math.inf

    def batch_ended(self, run, epoch, batch):
        if (epoch, batch) == (2, 3):
            self.since = time.time()
        if epoch == 2:
            time.sleep(0.05)
        if self.path.exists() and self.path.stat().st_mtime > self.since:
            os.kill(os.getpid(), signal.SIGKILL)


def train_in_a_process(name, path, kill, resume, options):
    """Train one of NETWORKS, and leave its numbers beside the checkpoint."""
    torch.backends.cudnn.deterministic = True
    callbacks = [KillAfterACheckpoint(path)] if kill else []
    training = train_to_resume(globals()[name], path, path if resume else None, callbacks, options)
    found = [training.net.state_dict(), training.optimizer.state_dict()["state"], training.history]
    torch.save(found, f"{path}.result")


def train_to_resume(make, path, resume, callbacks, options):
    net, _ = build(make)
    optimizer = AdamW(net.param(), lr=0.01)
    schedule = OneCycleLR(optimizer, max_lr=0.01, total_steps=3 * ROWS // 8 // options.get("accumulate", 1))
    return fit(
        net, CrossEntropyLoss(), optimizer, rows_of(make), epochs=3, batch_size=8, device="cuda", quiet=True,
        schedule=schedule, checkpoint=path, checkpoint_every=0.0, resume=resume, callbacks=callbacks, **options,
    )  # fmt: skip


def in_a_process(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=os.environ | environment
    )


@each_network
@pytest.mark.parametrize("options", [{}, {"precision": "bfloat16-mixed"}, {"precision": "float16-mixed"}], ids=str)
def test_a_run_that_was_killed_ends_as_one_that_was_not(make, options, tmp_path):
    found = {}
    for name, kill, resume in (("whole", False, False), ("killed", True, False), ("killed", False, True)):
        path = str(tmp_path / name)
        words = {"make": make.__name__, "path": path, "kill": kill, "resume": resume, "options": options}
        done = in_a_process(KILLED.format(folder=str(Path(__file__).parent), **words))
        assert done.returncode == (-signal.SIGKILL if kill else 0), done.stderr
        if not kill:
            found[name] = torch.load(f"{path}.result")
    (values, state, history), (its_values, its_state, its_history) = found["whole"], found["killed"]
    torch.testing.assert_close(its_values, values, rtol=0, atol=0)
    torch.testing.assert_close(its_state, state, rtol=0, atol=0)
    for one, other in zip(history, its_history, strict=True):
        # where each row has several targets, torch's kernel adds up their losses in any order
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-6 if make is gpt else 0)


def test_the_compiled_engine_says_that_it_trains_eagerly():
    with pytest.warns(EngineWarning, match="every tensor must be on the cpu") as caught:
        training = train(perceptron, "cuda", engine="compiled")
    assert len(caught) == 1
    assert training.history[-1]["train_loss"] < training.history[0]["train_loss"]


def test_an_average_and_metrics():
    training = train(residual, "cuda", callbacks=[EMA(0.9)], metrics=[Accuracy()])
    assert training.history[-1]["validation_accuracy"] > 0.3


def test_gradients_in_memory_are_those_of_one_layer():
    peaks = []
    for take in (step, step_in_backward):
        gc.collect()
        net = Sequential(*(Linear(1000, 1000) for _ in range(8))).to("cuda")
        loss, optimizer = MSELoss(), SGD(net.param(), lr=1e-3)
        x, target = (torch.randn(4, 1000, device="cuda") for _ in range(2))
        with torch.inference_mode():
            take(net, loss, optimizer, x, target)
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            take(net, loss, optimizer, x, target)
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] < 12_000_000 < 28_000_000 < peaks[0], peaks  # a layer has 4 MB


# Bad input: what ends all that a process does on a GPU is found before it comes there

BAD = {
    "a class": (
        "Sequential(Linear(5, 3)), CrossEntropyLoss(), [(torch.randn(5), torch.tensor(8 if i == 17 else 0)) {each}]",
        "CrossEntropyLoss: target must be a class between 0 and 2, .* got 8",
    ),
    "a token": (
        "Sequential(Embedding(5, 4), Flatten(), Linear(12, 3)), CrossEntropyLoss(), "
        "[(torch.tensor([1, 2, 8 if i == 9 else 0]), torch.tensor(0)) {each}]",
        "Embedding: x must hold indices between 0 and 4, got 8",
    ),
    "no probability": (
        "Sequential(Linear(5, 1)), BCELoss(), [(torch.randn(5), torch.rand(1)) {each}]",
        "the first value that is not finite is the loss, BCELoss",
    ),
}


@pytest.mark.parametrize("case", BAD, ids=str)
def test_bad_input_is_told_by_name_and_the_gpu_goes_on(case):
    parts, text = BAD[case]
    done = in_a_process(f"""
        import torch
        from mytorch.core import MytorchError
        from mytorch.nn import *
        from mytorch.optim import SGD
        from mytorch.train import fit
        net, loss, rows = {parts.format(each="for i in range(40)")}
        try:
            fit(net, loss, SGD(net.param(), lr=0.1), rows, epochs=1, batch_size=4, quiet=True, device="cuda")
        except MytorchError as error:
            print(error)
        print(torch.ones(3, device="cuda").sum().item())
    """)
    assert re.search(text, done.stdout), done.stdout + done.stderr
    assert done.stdout.endswith("3.0\n")


# Experiments

TEXT = "the quick brown fox jumps over the lazy dog. " * 60


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    return str(tmp_path / "text.txt")


@pytest.fixture
def images(tmp_path):
    image = pytest.importorskip("PIL.Image")
    generator = torch.Generator().manual_seed(0)
    for number, name in enumerate(("dark", "light")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(30):
            pixels = torch.randint(60, (16, 16, 3), generator=generator) + 150 * number
            image.fromarray(pixels.to(torch.uint8).numpy()).save(tmp_path / "images" / name / f"{index}.png")
    return str(tmp_path / "images")


def shortened(name, request):
    changes = {"epochs": 2}
    if name == "text-gpt":
        changes |= {"data.train.path": request.getfixturevalue("text")}
    elif name == "resnet":
        changes |= {"data.train.path": request.getfixturevalue("images"), "data.train.size": 16, "batch_size": 8}
    else:
        changes |= {} if name == "digits-cnn" else {"data.train.samples": 200, "data.test.samples": 60}
    return changes


@pytest.mark.parametrize("name", ["disk-tuned", "text-gpt", "resnet", "digits-cnn"])
def test_an_experiment(name, request, tmp_path, exact):
    if name == "digits-cnn":
        pytest.importorskip("sklearn")
    changes = shortened(name, request)
    here = train_experiment(name, changes, output=tmp_path / "here", quiet=True)
    there = train_experiment(name, {**changes, "device": "cuda"}, output=tmp_path / "there", quiet=True)
    draws = name == "digits-cnn"  # dropout, of which a GPU has other numbers
    for ours, theirs in zip(here.history, there.history, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=0.3 if draws else 2e-2)
    assert there.history[-1]["train_loss"] < there.history[0]["train_loss"]
    on_both = [judge(load(there.path, device=device)).results for device in ("cpu", "cuda")]
    assert on_both[0] == pytest.approx(on_both[1], rel=1e-3, abs=1e-3)
