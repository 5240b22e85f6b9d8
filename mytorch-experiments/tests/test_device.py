"""The checks of toys/on_a_standin.py in a process of their own: torch keeps an accelerator that was registered."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKS = Path(__file__).parent / "toys" / "on_a_standin.py"


def run_the_checks(accelerator):
    options = ["-q", "-p", "no:cacheprovider", "-W", "error", "--confcutdir", str(CHECKS.parents[1])]
    command = [sys.executable, "-m", "pytest", *options, str(CHECKS)]
    environment = os.environ | {"ACCELERATOR": accelerator}
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_checks_on_a_stand_in_for_an_accelerator_pass():
    run_the_checks("standin")


@pytest.mark.cuda
def test_the_checks_on_a_gpu_pass():
    run_the_checks("cuda")
