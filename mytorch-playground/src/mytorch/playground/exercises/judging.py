"""The process that judges answers: it has torch imported, and forks for each answer a process with limits.

    python -I -c "..." < requests > verdicts

A request is an exercise and a text; a verdict is what `judgement.Verdict` holds. Messages go as those of a session do.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from dataclasses import asdict

import torch

from mytorch.playground import pipe
from mytorch.playground.exercises import limits
from mytorch.playground.exercises.exercise import Exercise
from mytorch.playground.exercises.judgement import Verdict, judge
from mytorch.plugins import one_line
from mytorch.testing import check_layer

LONGEST = 64 * 1024
"""Bytes of a verdict."""
RESULT = 3
"""The descriptor by which the child tells its verdict."""


def main() -> None:
    """Answer requests until there are no more."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # so that no thread is there when the process forks
    _warm()
    with tempfile.TemporaryDirectory(prefix="mytorch-exercise-") as folder:
        while (request := pipe.read(sys.stdin.buffer)) is not None:
            asked = json.loads(request)
            exercise = Exercise.model_validate(asked["exercise"])
            pipe.write(out, json.dumps(asdict(_answered(exercise, str(asked["text"]), folder))).encode())


def _warm() -> None:
    """Import what the kit imports when it runs, since a child can open no file."""
    from mytorch.core import Module

    class Twice(Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
            return 2 * x, None

        def backward(self, d_y: torch.Tensor, _: None) -> torch.Tensor:
            return 2 * d_y

    str(torch.ones(2, 2))  # which an answer may print
    # Not the check by autograd, which starts what must not be there when the process forks.
    check_layer(Twice, (2, 2), modes=("train",), checks=("finite_differences", "full_jacobian", "nothing_written"))


def _answered(exercise: Exercise, text: str, folder: str) -> Verdict:
    if limits.available():
        return _in_child(exercise, text, folder)
    if text in (exercise.solution, *(piece.code for piece in exercise.pieces)):
        return judge(exercise, text)
    return Verdict(False, "This system cannot limit what a typed line does: choose from the pieces.")


def _in_child(exercise: Exercise, text: str, folder: str) -> Verdict:
    """What a child with limits says of an answer, or why it said nothing. Nothing of it is left behind."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _be_child(exercise, text, folder, writing)
        finally:
            os._exit(1)
    os.close(writing)
    try:
        told, ended = _read(reading)
    finally:
        os.close(reading)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)  # which may not have a group of its own yet
        _, status = os.waitpid(child, 0)
    try:
        return Verdict(**json.loads(told))
    except (ValueError, TypeError):
        return Verdict(False, _reason(status, ended))


def _be_child(exercise: Exercise, text: str, folder: str, writing: int) -> None:
    """Judge within limits, and write the verdict. Never returns to what the parent does."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    if writing != RESULT:
        os.dup2(writing, RESULT)
    os.closerange(RESULT + 1, 4096)
    os.environ.clear()
    limits.limit(folder)
    try:
        verdict = judge(exercise, text)
    except MemoryError:
        verdict = Verdict(False, _MEMORY)
    except Exception as error:  # of the layer's code around the answer
        verdict = Verdict(False, f"The layer raised {type(error).__name__}: {one_line(error, 400)}")
    if not verdict.right and any(word in verdict.text for word in ("MemoryError", "allocate memory")):
        verdict = Verdict(False, _MEMORY, verdict.line)
    os.write(RESULT, json.dumps(asdict(verdict)).encode() + b"\n")
    os._exit(0)


def _read(reading: int) -> tuple[bytes, bool]:
    """What a child writes, a line, and whether it did in time. It ends with the line: others may hold the pipe."""
    until, told = time.monotonic() + limits.WALL_SECONDS, b""
    while len(told) < LONGEST and not told.endswith(b"\n"):
        left = until - time.monotonic()
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            return told, False
        more = os.read(reading, LONGEST)
        if not more:
            return told, True
        told += more
    return told, True


_MEMORY = f"Your line was stopped: it asked for more than {limits.MEMORY // 2**20} MB of memory."


def _reason(status: int, ended: bool) -> str:
    """Why a child said nothing."""
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if not ended:
        return f"Your line was stopped: it had no result after {limits.WALL_SECONDS:.0f} seconds."
    if number == signal.SIGXCPU:
        return f"Your line was stopped: it computed for {limits.CPU_SECONDS} seconds without a result."
    what = signal.Signals(number).name if number else f"exit {os.WEXITSTATUS(status)}"
    return f"Your line ended the process in which it ran ({what})."


if __name__ == "__main__":
    main()
