"""Timing whole processes: each round starts every command once, so that a slow moment meets all of them."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from side_by_side import Measured

MYTORCH = "from mytorch.cli import main; main()"
"""The command as a piece of Python, so that the interpreter is the one that runs this."""


def seconds(command: Sequence[str], **variables: str) -> float:
    """The wall time of one process: `python -c` with a piece of code and its arguments."""
    start = time.perf_counter()
    line, environment = [sys.executable, "-c", *command], {**os.environ, **variables}
    subprocess.run(line, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def in_turn(commands: Mapping[str, tuple[Sequence[str], Mapping[str, str]]], rounds: int) -> Measured:
    """Seconds of every command (code, arguments and variables) in every round; each round counts as a process."""
    taken: list[dict[str, list[float]]] = []
    for number in range(rounds + 1):
        found = {name: [seconds(command, **variables)] for name, (command, variables) in commands.items()}
        if number:  # the first round fills the file cache
            taken.append(found)
    return Measured(taken)
