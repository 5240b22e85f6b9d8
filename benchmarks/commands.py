"""Timing whole processes: each round starts every command once, so that a slow moment meets all of them."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from results import Section
from side_by_side import Measured, Report, arguments

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


def report(found: Sequence[Section], as_json: bool) -> int:
    """Print sections that are measured by a script alone. Returns 1 if a promise is missed."""
    shown = Report(as_json)
    for section in found:
        names = [row.contestant if row.at is None else f"{row.contestant}, {row.at:g}" for row in section.rows]
        rows = [[name, row.figure.text(0)] for name, row in zip(names, section.rows, strict=True)]
        shown.table(section.title, ["what", section.unit], rows)
        for target in section.targets:
            shown.target(target)
    shown.end()
    return int(not all(target.met for section in found for target in section.targets))


def quick_or_not(doc: str | None) -> tuple[bool, bool]:
    """Whether --quick and --json are given."""
    options = arguments(doc)
    return options.quick, options.json
