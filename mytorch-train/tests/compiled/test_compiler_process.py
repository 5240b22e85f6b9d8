"""The process that compiles beside a training: what it leaves, however it or the training ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mytorch.train.compiled.cache import open_package

SCRIPT = Path(__file__).parents[1] / "toys" / "auto_run.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.numbers,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="these tests look at /proc"),
    pytest.mark.skipif(not shutil.which("g++"), reason="these tests need a C++ compiler"),
]


@pytest.fixture
def begin(tmp_path):
    """Begins a run with a cache and a temporary directory of this test. Returns it and the id of its compiler."""
    (tmp_path / "temporary").mkdir()

    def start(**environment):
        own = {"MYTORCH_CACHE": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "temporary"), **environment}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, str(SCRIPT)], env={**os.environ, **own}, **pipes)
        return process, int(process.stdout.readline())

    return start


def group(leader):
    """The processes of a group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(of) == leader and state != "Z":
            found.append(int(path.parent.name))
    return found


def wait_until(true, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def left(tmp_path):
    """What lies in the temporary directory and in the cache."""
    names = [path.name for path in (tmp_path / "temporary").iterdir()]
    temporary = [name for name in names if not name.startswith("torchinductor_")]  # torch's, empty
    steps = tmp_path / "cache" / "steps"
    return temporary, list(steps.iterdir()) if steps.exists() else []


def test_it_compiles_the_step_that_the_run_changes_over_to(begin, tmp_path):
    process, compiler = begin()
    out, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    notes = json.loads(out.splitlines()[-1])["auto_engine"]
    assert notes["step"].startswith("compiled in "), notes
    assert notes["compiled_from"] > 5
    assert told == ""
    temporary, (entry,) = left(tmp_path)
    open_package(entry, entry.stem)
    assert temporary == group(compiler) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_of_it_when_the_training_is_ended(begin, tmp_path, number):
    process, compiler = begin()
    if number == signal.SIGKILL:
        wait_until(lambda: len(group(compiler)) > 1)  # it has begun g++
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    wait_until(lambda: group(compiler) == [] and left(tmp_path) == ([], []), 20)


def test_training_goes_on_eagerly_when_it_is_killed(begin, tmp_path):
    process, compiler = begin()
    os.kill(compiler, signal.SIGKILL)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    notes = json.loads(out.splitlines()[-1])["auto_engine"]
    assert notes == {"eager_because": "the process that compiles was ended by signal 9"}
    assert group(compiler) == []
    assert left(tmp_path) == ([], [])
