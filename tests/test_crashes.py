"""Runs that are killed in each phase of their life go on to the bit; benchmarks/crash.py draws many more moments."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "crash.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")
def test_runs_that_are_killed_go_on_to_the_bit():
    """In a process of its own, since it forks: threads of other tests would be in its way."""
    options = ["--kills", "10", "--signals", "2"]
    found = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    told = found.stdout.splitlines()
    assert [line.partition(":")[0] for line in told] == ["SIGKILL", "SIGTERM", "SIGHUP", "SIGINT", "SIGINT twice"]
    assert all(line.endswith("each resumed to the bit (eager engine)") for line in told)
