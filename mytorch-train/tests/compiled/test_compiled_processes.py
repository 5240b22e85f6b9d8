"""The compiled engine in processes of their own: killed, two at once, and with compilers that do not compile."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from one_run import last_loss

from mytorch.train.compiled.cache import open_package

SCRIPT = Path(__file__).parents[1] / "toys" / "one_run.py"

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="these tests need a C++ compiler")


@pytest.fixture
def begin(tmp_path):
    """Begins a run with a cache of this test and returns its process."""

    def start(**environment):
        surroundings = {**os.environ, "MYTORCH_CACHE": str(tmp_path / "cache"), **environment}
        command = [sys.executable, str(SCRIPT)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=surroundings, start_new_session=True, **pipes)

    return start


def end(process):
    """What a process printed: its last loss, and what it told beside."""
    out, told = process.communicate(timeout=240)
    assert process.returncode == 0, told
    assert "Traceback" not in told
    return float(out.splitlines()[-1]), told


def wait_for(process, text):
    """Read what a process tells until a line has the text."""
    while text not in (line := process.stderr.readline()):
        assert line, "the process ended"


def test_a_kill_in_mid_compilation_and_two_that_then_compile_at_once(begin, tmp_path):
    shared = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "torch")}
    expected, killed = last_loss("eager"), begin(**shared)
    wait_for(killed, "compiling")
    time.sleep(1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    cache = tmp_path / "cache" / "steps"
    assert not list(cache.glob("*.pt2"))
    for loss, told in map(end, [begin(**shared), begin(**shared)]):
        assert loss == pytest.approx(expected, abs=1e-10)
        assert "EngineWarning" not in told
    (entry,) = cache.iterdir()
    open_package(entry, entry.stem)
    assert not list((tmp_path / "torch").rglob("*wrapper*"))  # in which each would write into the other's files


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [("", "a C++ compiler is needed and none was found"), ("killed", "the training step cannot be compiled")],
)
def test_without_a_working_compiler_a_run_is_eager(begin, tmp_path, compiler, reason):
    empty = tmp_path / "bin"
    empty.mkdir()
    fake = tmp_path / "fake-c++"
    fake.write_text('#!/bin/sh\ncase "$*" in *--version*) echo "g++ (GCC) 12.2.0" ;; *) kill -9 $$ ;; esac\n')
    fake.chmod(0o755)
    path = {"PATH": str(empty), "CXX": ""} if not compiler else {"CXX": str(fake)}
    expected = last_loss("eager")
    loss, told = end(begin(**path, TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "torch")))
    assert loss == pytest.approx(expected, abs=1e-10)
    (line,) = [line for line in told.splitlines() if "EngineWarning" in line]
    assert reason in line
    assert line.endswith("training continues with the eager engine")


def test_nothing_stays_in_the_temporary_directory_however_a_process_ends(begin, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    for number in (signal.SIGKILL, signal.SIGTERM, None):
        process = begin(TMPDIR=str(folder))
        line = process.stdout.readline()
        if number is not None:
            process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode == -(number or 0)
        assert float(line) == pytest.approx(last_loss("eager"), abs=1e-10)
        assert [path.name for path in folder.iterdir() if not path.name.startswith("torchinductor_")] == []  # torch's
