"""The checks of toys/on_a_standin.py in a process of their own: torch keeps an accelerator that was registered."""

import subprocess
import sys
from pathlib import Path

CHECKS = Path(__file__).parent / "toys" / "on_a_standin.py"


def test_the_checks_on_a_stand_in_for_an_accelerator_pass():
    options = ["-q", "-p", "no:cacheprovider", "-W", "error", "--confcutdir", str(CHECKS.parents[1])]
    found = subprocess.run([sys.executable, "-m", "pytest", *options, str(CHECKS)], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
