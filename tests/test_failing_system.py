"""The command under a system that fails: its exit status, what it says, and what is kept and goes on.

Each fault comes to a process of its own while its third epoch ends. The faults of each single operation of a disk are
tested in mytorch-experiments/tests/training/test_failing_disk.py.
"""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from mytorch.experiments import list_runs, load, resume
from mytorch.train import read_checkpoint

EPOCHS = 5
SETTINGS = {"epochs": EPOCHS, "threads": 1, "checkpoint_every": 0.0, "data.train.samples": 200, "batch_size": 50}
WIDE = 700
LARGE = {
    "memory": {"data.train.samples": 500_000, "batch_size": 500_000},
    "memory for a checkpoint": {
        "model.layers.2.out_features": WIDE,
        "model.layers.4.in_features": WIDE,
        "model.layers.4.out_features": WIDE,
        "model.layers.6.in_features": WIDE,
    },
}
"""Batches, or weights, for which the system is asked for memory each time, since they are so large.

The output of a layer for such a batch takes 50 MB, for which the 16 MiB that are left do not suffice, while they do
for writing the end of the run. With `MMAP_ABOVE`, as `command` sets it, the C library takes no large tensor from the
memory that it kept of another.
"""
STATUS = {"memory": ("failed",), "memory for a checkpoint": ("failed", "died")}
"""What becomes of a run, if its end can be written; where a checkpoint is refused memory, its end may be, too."""
MMAP_ABOVE = {"MALLOC_MMAP_THRESHOLD_": "65536"}

FAILING = """
import errno, os, resource, shutil, threading
from pathlib import Path
from mytorch.experiments.runs.history_file import HistoryFile
from mytorch.train.checkpoint.checkpoint_file import Packed

def refusing(number):
    def refuse(*args, **options):
        raise OSError(number, os.strerror(number))
    return refuse

def limit_memory(mebibytes):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + mebibytes * 2**20,) * 2)

def fail(folder):
    for writer in threading.enumerate():
        if writer.name == "mytorch checkpoint":
            writer.join()
    {fault}

add, calls = HistoryFile.add, iter(range(1, 10**6))

def adding(history, record):
    if next(calls) == 3:
        fail(history.path.parent)
    add(history, record)

HistoryFile.add = adding
from mytorch.cli import main
main()
"""

LACK_OF_MEMORY = "more memory was asked for than the system gives(, .*)?; make the batch or the model smaller"
FAULTS = {
    "full disk": ("os.fsync = refusing(errno.ENOSPC)", "{run}/checkpoint.safetensors: .* No space left on device"),
    "quota": (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))",
        "{run}/checkpoint.safetensors: must be writable, got .*File too large",
    ),
    "read-only": ("os.open = refusing(errno.EROFS)", "{run}/checkpoint.safetensors: .* Read-only file system"),
    "handles": (
        "free = os.dup(0)\n    os.close(free)\n    resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))",
        "{run}/checkpoint.safetensors: must be writable, got Too many open files",
    ),
    "memory": ("limit_memory(16)", LACK_OF_MEMORY),
    "memory for a checkpoint": (
        "copy = Packed.of\n    Packed.of = lambda state: (limit_memory(1), copy(state))[1]",
        LACK_OF_MEMORY,
    ),
    "removed": ("shutil.rmtree(folder)", "{run}/[a-z.]*: must be writable, got No such file or directory"),
}
"""By name: what happens in the process, and what the error says."""


def command(program, *arguments, cwd):
    environment = {**os.environ, **MMAP_ABOVE, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    started = [sys.executable, "-c", program, *arguments]
    return subprocess.run(started, cwd=cwd, env=environment, capture_output=True, text=True)


def train_command(settings):
    return [
        "train",
        "disk",
        "-o",
        "runs",
        *(word for key, value in settings.items() for word in ("--set", f"{key}={value}")),
    ]


def end_of(path):
    """What must be equal to the bit: weights, optimizer and history without the times."""
    run, state = load(path), read_checkpoint(path)
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in run.history]
    return {name: value.tolist() for name, value in run.net.state_dict().items()}, state["epoch"], history


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The end of the run to which nothing happened."""
    folder = tmp_path_factory.mktemp("whole")
    done = command("from mytorch.cli import main; main()", *train_command(SETTINGS), cwd=folder)
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "runs").iterdir()
    return end_of(path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits and /proc are those of Linux")
@pytest.mark.parametrize("name", FAULTS)
def test_a_run_ends_with_a_line_and_goes_on_later(name, whole, tmp_path):
    fault, said = FAULTS[name]
    settings = SETTINGS | LARGE.get(name, {})
    done = command(FAILING.format(fault=fault), *train_command(settings), cwd=tmp_path)
    errors = done.stderr.partition("\nError: ")[2]
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert re.match(said.format(run=r"runs/disk-[-0-9]*"), errors), done.stderr
    assert not list(tmp_path.rglob("*.part"))
    if name == "removed":
        assert not list((tmp_path / "runs").iterdir())
        return
    (listed,) = list_runs(tmp_path / "runs")
    assert listed.status in STATUS.get(name, ("died",))
    assert read_checkpoint(listed.path)["epoch"] <= 3
    assert f"Resume with: mytorch resume runs/{listed.path.name}" in errors
    kept = ("What was trained so far lies in", "The end of the run could not be written to")[listed.status == "died"]
    assert f"  {kept} runs/{listed.path.name}" in errors
    run = resume(listed.path, quiet=True)
    assert [record["epoch"] for record in run.history] == list(range(1, EPOCHS + 1))
    if name not in LARGE:
        assert end_of(run.path) == whole


def test_two_processes_do_not_train_on_one_run(tmp_path):
    """The first holds the run as long as it lives, however it ends, and leaves nothing that keeps the next from it."""
    main = "from mytorch.cli import main; main()"
    begun = [sys.executable, "-c", main, *train_command({**SETTINGS, "epochs": 1_000_000}), "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(begun, cwd=tmp_path, env=environment) as first:
        try:
            while not list(tmp_path.glob("runs/*/checkpoint.safetensors")) and first.poll() is None:
                time.sleep(0.01)
            (path,) = (tmp_path / "runs").iterdir()
            assert [run.status for run in list_runs(tmp_path / "runs")] == ["running"]
            second = command(main, "resume", str(path), cwd=tmp_path)
            assert second.returncode == 1
            assert re.fullmatch(
                rf"Error: {path}: must be trained by one process at a time, .*; wait for it, or end it first\n",
                "".join(line for line in second.stderr.splitlines(True) if line.startswith("Error")),
            )
            assert first.poll() is None
        finally:
            first.send_signal(signal.SIGKILL)
    (path,) = (tmp_path / "runs").iterdir()
    assert (path / "run.lock").is_file()
    assert [run.status for run in list_runs(tmp_path / "runs")] == ["died"]
    epoch = read_checkpoint(path)["epoch"]
    third = command(main, "resume", str(path), "--set", f"epochs={epoch + 2}", cwd=tmp_path)
    assert third.returncode == 0, third.stderr
    assert f"{path} goes on after {epoch} epoch" in third.stderr
