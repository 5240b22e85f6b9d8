"""Runs that are killed at random moments, resumed until they end, and compared to the bit with one that was not.

Each run trains in a process of its own, which is killed at a moment drawn over the whole of its life, or, every other
time, while it does one of five things: it starts, writes a file of tensors, evaluates, ends, or draws figures. What it
left must open, or say why not, and never hold weights that pretend to be newer than they are. Then it is resumed, and
killed again with some chance. The run that ends must be the one that was never killed: weights, optimizer, random
state, history and results. With the auto engine, which then takes compiled steps from the cache after some eager ones,
the two may have changed over at different steps, so that they must be equal up to rounding.

    python benchmarks/crash.py                        200 kills with the eager engine, 50 of each other signal
    python benchmarks/crash.py --engine compiled
    python benchmarks/crash.py --engine compiled --precision bfloat16
    python benchmarks/crash.py --engine auto
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
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, repeat
from math import isclose
from pathlib import Path
from select import select
from typing import Any

import torch

import mytorch.experiments.training.train_experiment as beginning
import mytorch.train.sealed as sealed
from mytorch.experiments import list_runs, load, resume, train_experiment
from mytorch.experiments.callbacks import recorder
from mytorch.experiments.runs.run_folder import SETTLED
from mytorch.experiments.runs.runs import DAMAGED
from mytorch.experiments.runs.weights_epoch import RunWarning, weights_epoch
from mytorch.plugins import MytorchError
from mytorch.train import auto, read_checkpoint
from mytorch.train.evaluation import Evaluation
from mytorch.train.half_precision import PRECISIONS

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
PHASES: dict[str, tuple[Any, str, float]] = {
    "start": (beginning, "build", 0.1),
    "write": (sealed, "save_file", 0.006),
    "evaluation": (Evaluation, "__call__", 0.004),
    "end": (recorder.Recorder, "_finish", 0.02),
    "figures": (recorder, "draw_history", 0.6),
}
"""What a process does at times: the function that it calls for it, and for about how many seconds."""
CALLS = 4
"""Which call of it is shot at, at most: a run writes and evaluates several times."""


@dataclass
class Shot:
    """Signals that are sent to a process so many seconds after a phase began for the n-th time, or after its start."""

    signals: list[int]
    phase: str | None
    call: int
    after: float

    @classmethod
    def drawn(cls, signals: list[int], phase: str | None, seconds: float, draw: random.Random) -> "Shot":
        """One at a random moment of a phase, or of a life of so many seconds."""
        longest = 1.05 * seconds if phase is None else PHASES[phase][2]
        call = draw.randint(1, CALLS) if phase in ("write", "evaluation") else 1
        return cls(signals, phase, call, draw.uniform(0, longest))


def change_over_early() -> None:
    """Let the auto engine look after each step whether there is a compiled one, and use it however fast it is."""
    for name in ("WORTH_TRACING", "WORTH_COMPILING", "LOOK", "LEAST_GAIN"):
        setattr(auto, name, 0.0)


def begin(folder: Path, engine: str) -> None:
    """Train a run in a folder, or go on with the one that is there."""
    runs = [path for path in folder.glob("*") if (path / "experiment.toml").is_file()]
    if runs and any(run.status == "finished" for run in list_runs(folder)):
        return  # it was ended while it drew figures
    if runs:
        resume(runs[0], quiet=True)
    else:
        train_experiment("disk", {**SETTINGS, "engine": engine}, output=folder, quiet=True)


def in_process(folder: Path, engine: str, shot: Shot | None = None) -> tuple[bool, float]:
    """Whether a process trained to the end, though signals may be sent to it, and how long it lived."""
    folder.parent.mkdir(exist_ok=True)
    started = time.perf_counter()
    reading, writing = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # the process that begins is to end where it is told to
    child = os.fork()
    if not child:
        os.close(reading)
        _train_and_exit(folder, engine, shot, lambda: os.write(writing, b"!"))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    os.close(writing)
    if shot is not None:
        if shot.phase is not None:
            os.read(reading, 1)  # until it is there, or ends
        select([reading], [], [], shot.after)  # the end of the process closes the pipe
        for number in shot.signals:
            if not _ended(child):
                os.kill(child, number)
                time.sleep(0.002)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1:
        raise SystemExit(f"a process failed:\n{(folder.parent / 'child.log').read_text()[-3000:]}")
    return status == 0, time.perf_counter() - started


def _train_and_exit(folder: Path, engine: str, shot: Shot | None, announce: Callable[[], object]) -> None:
    """Train in this process and end it; `announce` is called where the shot is to fall."""
    status = 1
    try:
        sys.stderr = sys.stdout = (folder.parent / "child.log").open("a")
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a job in the background may have been told to ignore both
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        if shot is not None and shot.phase is not None:
            _announce(shot, announce)
        begin(folder, engine)
        status = 0
    except KeyboardInterrupt:
        status = 2
    except BaseException:
        traceback.print_exc()
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        sys.stdout.flush()
        os._exit(status)


def _announce(shot: Shot, announce: Callable[[], object]) -> None:
    """Call `announce` as the phase begins for the time that the shot is meant for."""
    owner, name, _ = PHASES[shot.phase or ""]
    call, calls = getattr(owner, name), iter(range(1, sys.maxsize))

    def announced(*args: Any, **options: Any) -> Any:
        if next(calls) == shot.call:
            announce()
        return call(*args, **options)

    setattr(owner, name, announced)


def _ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def look(folder: Path) -> str | None:
    """What is wrong with what a process left behind; None if nothing is."""
    for run in list_runs(folder) if folder.is_dir() else ():
        begun = run.epochs != 0 or all((run.path / name).is_file() for name in SETTLED)
        started = begun and (run.path / "summary.json").is_file()
        if run.status == DAMAGED and started:
            return f"{run.path} is damaged: {run.reason}"
        if run.status == "running":
            return f"{run.path} is said to be running, while its process has ended"
        if not started:
            continue
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found = load(run.path)
        said = any(issubclass(warning.category, RunWarning) for warning in told)
        if weights_epoch(run.path) != len(found.history) and not said:
            of, epochs = weights_epoch(run.path), len(found.history)
            return f"{run.path} has weights of epoch {of} while its history has {epochs}, and does not say so"
        if (run.path / "checkpoint.safetensors").exists():
            read_checkpoint(run.path)
    return None


def end_of(folder: Path) -> Any:
    """What is compared of the one run in a folder."""
    (path,) = (entry for entry in folder.iterdir() if (entry / "experiment.toml").is_file())  # or it was killed before
    return state_of(path)


def state_of(path: Path) -> Any:
    """All of a run that must be equal to the bit."""
    run, state = load(path), read_checkpoint(path)
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in run.history]
    kept = {name: state[name] for name in ("net", "schedule", "order", "epoch")}
    random_of = state["random"]["cpu"]  # no seed of an experiment sets that of Python
    results = [run.summary[name] for name in ("status", "epochs", "test", "best")]
    return run.net.state_dict(), kept, state["optimizer"]["state"], random_of, history, results


def same(found: Any, expected: Any, rounded: bool) -> bool:
    """Whether all is equal to the bit, or up to rounding."""
    if isinstance(expected, torch.Tensor):
        if rounded and expected.is_floating_point():
            return torch.allclose(found, expected, rtol=1e-3, atol=1e-5)
        return torch.equal(found, expected)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key], rounded) for key in expected)
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected, repeat(rounded)))
    return (
        isclose(found, expected, rel_tol=1e-3) if rounded and isinstance(expected, float) else bool(found == expected)
    )


def crash(place: Path, engine: str, expected: Any, shots: Iterator[Shot], draw: random.Random) -> Counter[str]:
    """Kill a run, and with some chance its resumptions, until one ends. Returns in which phases it was killed."""
    kills: Counter[str] = Counter()
    ended, folder = False, place / OUTPUT
    while not ended:
        shot = next(shots) if not kills or draw.random() < 0.4 else None
        ended, _ = in_process(folder, engine, shot)
        if not ended:
            kills[(shot.phase if shot else None) or "any moment"] += 1
        if (wrong := look(folder)) is not None:
            raise SystemExit(wrong)
    if not same(end_of(folder), expected, engine == "auto"):
        raise SystemExit(f"the run in {folder}, which was ended {kills.total()} times, is not the one that never was")
    return kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how many times a process is killed (SIGKILL)")
    parser.add_argument("--signals", type=int, default=50, help="how many times each other signal is sent")
    parser.add_argument("--engine", choices=["eager", "compiled", "auto"], default="eager")
    parser.add_argument("--precision", choices=PRECISIONS, help="that of the layers, where it is not float32")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    if options.precision is not None:
        SETTINGS["precision"] = options.precision
    torch.set_num_threads(1)
    draw = random.Random(options.seed)
    place = Path(tempfile.mkdtemp(prefix="mytorch-crash-"))  # what was found stays there
    if options.engine == "auto":
        change_over_early()
    compiles = "eager" if options.engine == "eager" else "compiled"
    in_process(place / "first" / OUTPUT, compiles)  # in a process whose threads nobody inherits
    begin(place / "loaded" / OUTPUT, options.engine)  # so that those that begin later have all modules
    _, seconds = in_process(place / "whole" / OUTPUT, options.engine)
    expected = end_of(place / "whole" / OUTPUT)
    equal = "up to rounding" if options.engine == "auto" else "to the bit"
    wanted = {"SIGKILL": ([signal.SIGKILL], options.kills)}
    wanted |= {what: (numbers, options.signals) for what, numbers in SIGNALS.items()}
    for what, (numbers, count) in wanted.items():
        if not count:
            continue
        moments = cycle(moment for phase in PHASES for moment in (phase, None))
        shots = (Shot.drawn(numbers, phase, seconds, draw) for phase in moments)
        kills: Counter[str] = Counter()
        runs = 0
        while kills.total() < count:
            kills += crash(place / "one", options.engine, expected, shots, draw)
            runs += 1
            shutil.rmtree(place / "one")
        where = ", ".join(f"{number} {phase}" for phase, number in kills.items())
        print(
            f"{what}: {kills.total()} times ({where}) in {runs} runs, each resumed {equal} ({options.engine} engine)",
            flush=True,
        )
    shutil.rmtree(place)


if __name__ == "__main__":
    try:
        main()
    except MytorchError as error:
        sys.exit(f"{type(error).__name__}: {error}")
