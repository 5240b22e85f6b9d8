"""Runs that are killed at random moments, resumed until they end, and compared to the bit with one that was not.

Each run trains in a process of its own, which is killed at a moment drawn over the whole of its life: while it starts,
trains, evaluates, writes a checkpoint, draws figures or ends. What it left must open, or say why not, and never hold
weights that pretend to be newer than they are. Then it is resumed, and killed again with some chance. The run that
ends must be the one that was never killed: weights, optimizer, random state and history.

    python benchmarks/crash.py                        200 kills with the eager engine, 50 of each other signal
    python benchmarks/crash.py --engine compiled
    python benchmarks/crash.py --kills 10 --signals 2

Exit status 1 if anything was found.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch

from mytorch.experiments import list_runs, load, resume, train_experiment
from mytorch.experiments.runs.runs import DAMAGED
from mytorch.experiments.runs.weights_epoch import RunWarning, weights_epoch
from mytorch.plugins import MytorchError
from mytorch.train import read_checkpoint

EPOCHS = 12
SETTINGS = {
    "epochs": EPOCHS,
    "checkpoint_every": 0.0,
    "threads": 1,
    "callbacks": ["KeepBest", {"type": "EMA", "decay": 0.9}, "EarlyStopping"],
    "schedule.type": "OneCycleLR",
    "schedule.max_lr": 0.2,
    "schedule.interval": "batch",
}
SIGNALS = {"SIGTERM": [signal.SIGTERM], "SIGHUP": [signal.SIGHUP], "SIGINT": [signal.SIGINT], "SIGINT twice": [2, 2]}
OUTPUT = "runs"


def begin(folder: Path, engine: str) -> None:
    """Train a run in a folder, or go on with the one that is there."""
    runs = [path for path in folder.glob("*") if (path / "experiment.toml").is_file()]
    if runs and any(run.status == "finished" for run in list_runs(folder)):
        return  # it was ended while it drew figures
    if runs:
        resume(runs[0], quiet=True)
    else:
        train_experiment("disk", {**SETTINGS, "engine": engine}, output=folder, quiet=True)


def in_process(folder: Path, engine: str, kill: list[int], after: float) -> tuple[bool, float]:
    """Whether a process trained to the end that was sent signals after so many seconds, and how long it lived."""
    folder.parent.mkdir(exist_ok=True)
    started = time.perf_counter()
    child = os.fork()
    if not child:
        status = 1
        try:
            sys.stderr = sys.stdout = (folder.parent / "child.log").open("a")
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            begin(folder, engine)
            status = 0
        except KeyboardInterrupt:
            status = 2
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    while kill and time.perf_counter() - started < after and not _ended(child):
        time.sleep(0.001)
    for number in kill if not _ended(child) else ():
        os.kill(child, number)
        time.sleep(0.002)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1:
        raise SystemExit(f"a process failed:\n{(folder.parent / 'child.log').read_text()[-3000:]}")
    return status == 0, time.perf_counter() - started


def _ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def look(folder: Path) -> str | None:
    """What is wrong with what a process left behind; None if nothing is."""
    for run in list_runs(folder) if folder.is_dir() else ():
        started = (run.path / "summary.json").is_file()
        if run.status == DAMAGED and started:
            return f"{run.path} is damaged: {run.reason}"
        if not started:
            continue
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found = load(run.path)
        said = any(issubclass(warning.category, RunWarning) for warning in told)
        if (weights_epoch(run.path) or 0) < len(found.history) and not said:
            return f"{run.path} has old weights and does not say so"
        if (run.path / "checkpoint.safetensors").exists():
            read_checkpoint(run.path)
    return None


def end_of(folder: Path) -> Any:
    """All that must be equal to the bit."""
    (path,) = (entry for entry in folder.iterdir() if (entry / "experiment.toml").is_file())  # or it was killed before
    run, state = load(path), read_checkpoint(path)
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in run.history]
    kept = {name: state[name] for name in ("net", "schedule", "order", "epoch")}
    random_of = state["random"]["cpu"]  # no seed of an experiment sets that of Python
    return run.net.state_dict(), kept, state["optimizer"]["state"], random_of, history


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, torch.Tensor):
        return torch.equal(found, expected)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected))
    return bool(found == expected)


def crash(place: Path, engine: str, expected: Any, seconds: float, kill: list[int], draw: random.Random) -> int:
    """Kill a run, and with some chance its resumptions, until one ends. Returns how many were killed."""
    kills, ended, folder = 0, False, place / OUTPUT
    while not ended:
        again = kills == 0 or draw.random() < 0.4
        ended, _ = in_process(folder, engine, kill if again else [], draw.uniform(0, 1.05 * seconds))
        kills += not ended
        if (wrong := look(folder)) is not None:
            raise SystemExit(wrong)
    if not same(end_of(folder), expected):
        raise SystemExit(f"the run in {folder}, which was ended {kills} times, is not the one that was never ended")
    return kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how many times a process is killed (SIGKILL)")
    parser.add_argument("--signals", type=int, default=50, help="how many times each other signal is sent")
    parser.add_argument("--engine", choices=["eager", "compiled"], default="eager")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    torch.set_num_threads(1)
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        in_process(place / "first", options.engine, [], 0.0)  # what is loaded and compiled once
        _, seconds = in_process(place / "whole", options.engine, [], 0.0)
        expected = end_of(place / "whole")
        wanted = {"SIGKILL": ([signal.SIGKILL], options.kills)}
        wanted |= {what: (numbers, options.signals) for what, numbers in SIGNALS.items()}
        for what, (numbers, count) in wanted.items():
            kills = runs = 0
            while kills < count:
                kills += crash(place / "one", options.engine, expected, seconds, numbers, draw)
                runs += 1
                shutil.rmtree(place / "one")
            print(
                f"{what}: {kills} times in {runs} runs, each resumed to the bit ({options.engine} engine)", flush=True
            )


if __name__ == "__main__":
    try:
        main()
    except MytorchError as error:
        sys.exit(f"{type(error).__name__}: {error}")
