"""torchrun trains experiments in several processes, and goes on with them where one was killed."""

import subprocess
import sys

import pytest
from torch import distributed

from mytorch.core import ArgumentError
from mytorch.experiments import load, search_experiment, train_experiment, train_folds

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
"""
"""Trains in several processes, of which one is killed in the middle of an epoch, unless it was started again."""

needs_gloo = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()), reason="this torch has no gloo"
)


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
    code, said = torchrun(tmp_path / "worker.py", tmp_path / "several", OVERRIDES, restarts=1)
    assert code == 0, said
    alone = train_experiment("disk", OVERRIDES, output=tmp_path / "alone", quiet=True)
    (path,) = (tmp_path / "several").iterdir()
    run = load(path)
    assert [note["epoch"] for note in run.summary["resumed"]] == [2]
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


@pytest.mark.parametrize(
    "what", [lambda out: train_folds("disk", output=out), lambda out: search_experiment("disk", {}, output=out)]
)
def test_what_one_process_does_alone_says_so(tmp_path, monkeypatch, what):
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ArgumentError, match="must run in one process, got one of 2 that were started together"):
        what(tmp_path)
    assert not list(tmp_path.iterdir())
