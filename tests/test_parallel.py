"""torchrun trains experiments in several processes, and goes on with them where one was killed."""

import json
import re
import runpy
import subprocess
import sys

import pytest
import torch
from torch import distributed

from mytorch.core import ArgumentError
from mytorch.experiments import (
    load,
    load_experiment,
    parse_over,
    search_experiment,
    train_experiment,
    train_folds,
)
from mytorch.experiments.file.load_experiment import to_toml

OVERRIDES = {"epochs": 4, "dtype": "float64", "checkpoint_every": 0, "batch_size": 99, "data.train.samples": 400}
WORKER = """
import os, signal, sys
from mytorch.experiments import train_experiment
from mytorch.plugins import Callback

class Killed(Callback):
    def batch_ended(self, epoch, batch):
        if (epoch, batch) == (3, 2) and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)

callbacks = [Killed()] if os.environ["RANK"] == "1" else []
train_experiment("disk", eval(sys.argv[2]), output=sys.argv[1], quiet=True, callbacks=callbacks)
if os.environ["RANK"] == "0" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "1":
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""Trains in several processes, of which one is killed in the middle of an epoch, and one after the run is finished."""

BROKEN = """
import errno, gc, json, os, sys
from functools import partial

import torch
import mytorch.experiments.training.train_experiment as training
import mytorch.train.sealed as sealed
from mytorch.plugins import Callback
from mytorch.train.parallel import join

training.join = partial(join, timeout=30)
folder, rank = sys.argv[1], int(os.environ["RANK"])

class Large(Callback):
    must_succeed = True

    def batch_ended(self, epoch, batch):
        if (epoch, batch, rank) == (2, 1, 1):
            torch.empty(1 << 50)

def full(*args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

def said(source="disk", own={}, **options):
    settings = {"epochs": 3, "checkpoint_every": 0, **(own if rank == 1 else {})}
    try:
        training.train_experiment(source, settings, output=folder, quiet=True, **options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        gc.collect()

found = {"optimizer": said(own={"optimizer.lr": 0.2})}
found["width"] = said(own={"model.layers.0.out_features": 9, "model.layers.2.in_features": 9})
found["rows"] = said(own={"data.train.samples": 900})
found["file"] = said("disk" if rank == 0 else folder + "/none.toml")
found["memory"] = said(callbacks=[Large()])
with open(f"{folder}/{rank}.json", "w") as file:
    json.dump(found, file)
if rank == 0:
    sealed.save_file = full
training.train_experiment("disk", {"epochs": 3}, output=folder, quiet=True)
"""
"""Experiments that cannot be trained together, and what each process says of them; the last ends the processes."""

SHARED = """
import sys
from unittest.mock import patch
import torch
from mytorch.nn import BatchNorm1d, BatchNorm2d, Flatten, Linear, MSELoss, ReLU, Reshape, Sequential, SyncBatchNorm
from mytorch.data import TensorDataSet
from mytorch.plugins import catalogue
from mytorch.train import fit
from mytorch.train.parallel import join, pieces

names = [part.name for part in catalogue().of_kind("optimizer")]
refused = ("KFAC", "LBFGS", "SparseAdam")
optimizers = {name: catalogue().load("optimizer", name) for name in names if name not in refused}

def data(rows, size=6):
    draw = torch.Generator().manual_seed(rows)
    return TensorDataSet(*(torch.randn(rows, each, generator=draw, dtype=torch.float64) for each in (size, 2)))

def trained(net, optimizer, processes, **options):
    torch.manual_seed(1)
    net = net().to(torch.float64)
    taken = [held for held in net.param() if held.value.dim() == 2] if optimizer.__name__ == "Muon" else net.param()
    told = fit(net, MSELoss(), optimizer(taken), data(23), quiet=True, parallel=processes, **options)
    return net.state_dict(), [record["train_loss"] for record in told.history]

def plain():
    return Sequential(Linear(6, 5), ReLU(), Linear(5, 2))

def normalised(processes, of_images, **options):
    kind = SyncBatchNorm if processes is not None else BatchNorm2d if of_images else BatchNorm1d
    if of_images:
        return Sequential(Reshape((2, 3, 1)), kind(2, **options), Flatten(), Linear(6, 2))
    return Sequential(Linear(6, 5), kind(5, **options), ReLU(), Linear(5, 2))

def sgd(params):
    return optimizers["SGD"](params, lr=0.1)

def take(processes):
    found = {name: trained(plain, cls, processes, epochs=4, batch_size=5) for name, cls in optimizers.items()}
    for name, (of_images, options) in NORMALISED.items():
        net = lambda: normalised(processes, of_images, **options)
        found[name] = trained(net, sgd, processes, epochs=6, batch_size=5)
    net = lambda: normalised(processes, False)
    for level in LEVELS if processes is not None else ():
        for name, cls in optimizers.items():
            found[level, name] = trained(plain, cls, processes, epochs=4, batch_size=5, shard=level)
    if processes is not None:
        with patch.object(pieces, "BYTES", 1):  # each parameter is updated as soon as its gradients are added up
            for name, cls in optimizers.items():
                found["within", name] = trained(plain, cls, processes, epochs=4, batch_size=5, shard="gradients")
    found["few rows"] = trained(net, sgd, processes, epochs=2, batch_size=21)  # the last batch has a row for each
    return found

LEVELS = ("optimizer", "gradients", "parameters")
NORMALISED = {"rows": (False, {}), "images": (True, {})}
NORMALISED |= {"mean of all": (False, {"momentum": None}), "plain": (False, {"affine": False})}

if __name__ == "__main__":
    with join() as processes:
        torch.save(take(processes), f"{sys.argv[1]}/{processes.rank}.pt")
"""
"""Trains with every optimizer, dividing its state or not, and with normalisation over the batch of all processes."""

CHANGED = """
import sys
import torch
from mytorch.core import Directions
from mytorch.nn import BatchNorm2d, SyncBatchNorm
from mytorch.train.parallel import join

def changes(kind, rows):
    torch.manual_seed(2)
    x, t_x, d_y, t_d_y = (each[rows] for each in torch.randn(4, 5, 3, 2, 4, dtype=torch.float64))
    layer = kind(3, dtype=torch.float64)
    for parameter in layer.param():
        parameter.value = torch.randn(3, dtype=torch.float64)
    along = Directions({parameter: torch.randn(3, dtype=torch.float64) for parameter in layer.param()})
    _, saved = layer.forward(x)
    t_y, t_saved = layer.tangent(t_x, saved, along)
    d_x, t_d_x = layer.backward_tangent(d_y, t_d_y, saved, t_saved, along)
    return {"t_y": t_y, "d_x": d_x, "t_d_x": t_d_x}, {name: held.grad for name, held in layer.named_param()}

def alone():
    return changes(BatchNorm2d, slice(None))

if __name__ == "__main__":
    with join() as processes:
        rows = slice(3) if processes.rank == 0 else slice(3, None)
        torch.save(changes(SyncBatchNorm, rows), f"{sys.argv[1]}/{processes.rank}.pt")
"""
"""What a normalisation over the batch of all processes states of how its output and its backward change."""

SEARCHED = """
import os, signal, sys
from mytorch.experiments import parse_over, search_experiment

def tell(found, trial):
    if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        open(f"{sys.argv[1]}/killed", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    over = dict([parse_over("optimizer.lr=log:1e-4..0.1"), parse_over("model.layers.0.out_features=3..9")])
    search_experiment(f"{sys.argv[1]}/small.toml", over, trials=7, output=sys.argv[1], pruning=False, tell=tell)
"""
"""A search of several processes, of which one is killed after its first trial."""

needs_gloo = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()), reason="this torch has no gloo"
)


def searched():
    """What the search tries."""
    return dict(map(parse_over, ("optimizer.lr=log:1e-4..0.1", "model.layers.0.out_features=3..9")))


def torchrun(*arguments, restarts=0):
    """The output of a script in two processes."""
    options = ["--standalone", "--nproc-per-node", "2", "--max-restarts", restarts, "--monitor-interval", "0.1"]
    command = [sys.executable, "-m", "torch.distributed.run", *options, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(list(map(str, command)), check=False, timeout=200, **pipes)
    return done.returncode, done.stdout


@pytest.mark.slow
@needs_gloo
def test_an_experiment_goes_on_after_a_process_was_killed_as_one_process_trains_it(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    code, said = torchrun(tmp_path / "worker.py", tmp_path / "several", OVERRIDES, restarts=2)
    assert code == 0, said
    alone = train_experiment("disk", OVERRIDES, output=tmp_path / "alone", quiet=True)
    (path,) = (tmp_path / "several").iterdir()
    run = load(path)
    note, at_end = run.summary["resumed"]
    assert note["epoch"] in (0, 1, 2)  # a checkpoint is written where the one before is, and its time has come
    assert at_end["epoch"] == 4
    assert run.summary["status"] == "finished"
    for found, expected in zip(run.history, alone.history, strict=True):
        assert {**found, "seconds": 0} == pytest.approx({**expected, "seconds": 0}, rel=1e-9)
    assert run.summary["test"] == pytest.approx(alone.summary["test"], rel=1e-9)
    assert {file.name for file in path.iterdir()} == {file.name for file in alone.path.iterdir()}


@pytest.mark.slow
@needs_gloo
def test_the_command_prints_once_and_names_what_several_processes_do_not_do(tmp_path):
    command = ["-m", "mytorch", "train", "disk", "--output", tmp_path, "--set", "epochs=2"]
    code, said = torchrun(*command)
    assert code == 0, said
    assert said.count("epoch 2/2") == said.count("Run kept in") == 1
    assert len(list(tmp_path.iterdir())) == 1
    code, said = torchrun(*command, "--engine", "compiled")
    assert code == 1
    assert "engine: must be eager with several processes, whose gradients are added up within the step" in said
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
@needs_gloo
def test_what_is_wrong_in_one_process_is_told_in_all(tmp_path):
    (tmp_path / "broken.py").write_text(BROKEN)
    code, said = torchrun(tmp_path / "broken.py", tmp_path)
    assert code == 1
    assert "weights.safetensors: must be writable, got No space left on device" in said
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    differs = "RankError: parallel: rank 1 must train the same as rank 0; "
    for what, text in {
        "optimizer": "optimizer.lr must be 0.1, got 0.2",
        "width": "model.layers.0.out_features must be 25, got 9; model.layers.2.in_features must be 25, got 9",
        "rows": "training data must be 1000 rows, .*, got 900 rows, .*",
    }.items():
        assert first[what] == second[what]
        assert re.fullmatch(differs + text, first[what]), first[what]
    for what, text in {"file": "ExperimentError: experiment: must be ", "memory": "RuntimeError: "}.items():
        assert second[what].startswith(text), second[what]
        assert f"got rank 1 that ended: {text}" in first[what], first[what]


@pytest.mark.slow
@pytest.mark.numbers
@needs_gloo
def test_every_optimizer_and_the_statistics_of_all_processes_are_those_of_one(tmp_path):
    (tmp_path / "shared.py").write_text(SHARED)
    code, said = torchrun(tmp_path / "shared.py", tmp_path)
    assert code == 0, said
    alone = runpy.run_path(tmp_path / "shared.py")["take"](None)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert len(first) > 10
    assert {level for level, _ in filter(lambda name: isinstance(name, tuple), first)} == {
        "optimizer",
        "gradients",
        "parameters",
        "within",
    }
    for name in first:
        weights, losses = alone[name[1] if isinstance(name, tuple) else name]
        assert first[name][1] == second[name][1]
        assert first[name][1] == pytest.approx(losses, rel=1e-12)
        for key, value in weights.items():
            assert torch.equal(first[name][0][key], second[name][0][key])
            torch.testing.assert_close(first[name][0][key], value, rtol=0, atol=1e-12, msg=f"{name}: {key}")


@pytest.mark.slow
@needs_gloo
def test_how_the_statistics_of_all_processes_change_is_as_in_one(tmp_path):
    (tmp_path / "changed.py").write_text(CHANGED)
    code, said = torchrun(tmp_path / "changed.py", tmp_path)
    assert code == 0, said
    wanted, t_d_parameters = runpy.run_path(tmp_path / "changed.py")["alone"]()
    (rows, own), (other_rows, other) = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name, value in wanted.items():
        found = torch.cat([rows[name], other_rows[name]])
        torch.testing.assert_close(found, value, rtol=0, atol=1e-12, msg=name)
    for name, value in t_d_parameters.items():
        torch.testing.assert_close(own[name] + other[name], value, rtol=0, atol=1e-12, msg=name)


@pytest.mark.slow
@needs_gloo
def test_processes_share_the_trials_of_a_search_and_go_on_after_one_was_killed(tmp_path):
    layers = [{"type": "Linear", "in_features": 2, "out_features": 8}, {"type": "LazyLinear", "out_features": 2}]
    settings = {"data.train.samples": 300, "data.test.samples": 300, "epochs": 3, "model.layers": layers}
    (tmp_path / "small.toml").write_text(to_toml(load_experiment("disk", settings)))
    (tmp_path / "searched.py").write_text(SEARCHED)
    code, said = torchrun(tmp_path / "searched.py", tmp_path, restarts=1)
    assert code == 0, said
    assert (tmp_path / "killed").exists()  # both processes had trials
    over = ["--over", "optimizer.lr=log:1e-4..0.1", "--over", "model.layers.0.out_features=3..9", "--no-pruning"]
    command = ["-m", "mytorch", "search", tmp_path / "small.toml", *over, "--output", tmp_path, "--trials", "2"]
    code, said = torchrun(*command)
    assert code == 0, said
    assert said.count("9 trials: ") == said.count("The best as an experiment: ") == 1
    assert sorted(re.findall(r"(?m)^trial (\d+): ", said)) == ["7", "8"]
    found = search_experiment(tmp_path / "small.toml", searched(), trials=1, output=tmp_path, pruning=False)
    alone = search_experiment(tmp_path / "small.toml", searched(), trials=10, output=tmp_path / "a", pruning=False)
    assert [trial.number for trial in found.trials] == list(range(10))
    assert [trial.settings for trial in found.trials] == [trial.settings for trial in alone.trials]
    for one, other in zip(found.trials, alone.trials, strict=True):
        if one.state == "failed":
            assert one.reason in ("interrupted", "its process ended")
        else:
            assert one.value == other.value
    assert [trial.state for trial in found.trials].count("complete") >= 8
    assert load_experiment(found.path / "best.toml").optimizer.arguments["lr"] == found.best.settings["optimizer.lr"]


def test_what_one_process_does_alone_says_so(tmp_path, monkeypatch):
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ArgumentError, match="must run in one process, got one of 2 that were started together"):
        train_folds("disk", output=tmp_path)
    assert not list(tmp_path.iterdir())
