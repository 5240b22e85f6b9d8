"""Importing each part in a child process that has torch already, and seeing what the import does.

Run as a program it reads a JSON list of parts and answers with one JSON line a part. It imports torch once and forks
a child for every part, so that an exit, a patch or a crash concerns that part alone.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any

from mytorch.plugins.catalogue import Part
from mytorch.plugins.errors import PluginError, one_line
from mytorch.plugins.hooks import Hooks
from mytorch.plugins.torch_state import torch_changes, torch_state

TIMEOUT = 60.0  # seconds after which an import that does not end is given up
SLOW = 0.5  # seconds an import may take by itself


@dataclass(frozen=True)
class Finding:
    """What the import of one part did.

    seconds: its own time, without torch's;  error: why it failed, or None;  changed: what of torch it changed;
    output: what it printed.
    """

    seconds: float = 0.0
    error: str | None = None
    traceback: str = ""
    changed: tuple[str, ...] = ()
    output: str = ""


def probe(parts: list[Part], timeout: float = TIMEOUT) -> Iterator[Finding]:
    """Import parts, each in a child process, and tell what happened, in their order.

    Raises PluginError on a system that cannot fork, or if the program itself ends.
    """
    if not hasattr(os, "fork"):
        raise PluginError("plugins: probing must run on a system that can fork, such as Linux or macOS, got none")
    command = [sys.executable, "-P", "-m", "mytorch.plugins.probe", str(timeout)]
    # The commands' own module path is handed on: a folder that only this process has on it counts, too.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, env=environment
        ) as program:
            assert program.stdin is not None
            assert program.stdout is not None
            json.dump([asdict(part) for part in parts], program.stdin)
            program.stdin.close()
            answered = 0
            for line in program.stdout:
                answered += 1
                content = json.loads(line)
                yield Finding(**{**content, "changed": tuple(content["changed"])})
        if answered < len(parts):
            said.seek(0)
            raise PluginError(f"plugins: probing ended with status {program.returncode}: {said.read().strip()}")


def main(timeout: float) -> None:
    """Answer for every part of the list on stdin."""
    for name in ("torch", "mytorch.core"):
        with contextlib.suppress(Exception):  # then each part that needs it tells why
            importlib.import_module(name)
    for content in json.load(sys.stdin):
        print(json.dumps(asdict(_timed_fairly(Part(**content), timeout))), flush=True)


def _timed_fairly(part: Part, timeout: float) -> Finding:
    """What an import did; a slow one is done again and the faster counts: a cold disk is not the part's fault."""
    finding = _in_child(part, timeout)
    if finding.error is not None or finding.seconds <= SLOW:
        return finding
    return min(finding, _in_child(part, timeout), key=lambda one: one.seconds)


def _in_child(part: Part, timeout: float) -> Finding:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile("w+") as answer:
        child = os.fork()
        if not child:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            _answer(part, answer)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
        ended = _wait(child, timeout)
        output.seek(0)
        answer.seek(0)
        printed, text = output.read().decode(errors="replace"), answer.read()
    if not text:
        return Finding(error=ended or "ends the process", output=printed)
    content = json.loads(text)
    return Finding(**{**content, "changed": tuple(content["changed"]), "output": printed})


def _answer(part: Part, answer: IO[str]) -> None:
    """Import the part in this process, and write down what that did."""
    before, started = torch_state(), time.perf_counter()
    error, told = None, ""
    try:
        value = part.load()
        if part.kind in ("hook", "callback"):  # a callback's class will do: what it is built with is not known
            made = part.kind == "hook" and inspect.isclass(value)
            Hooks(installed=False).register(value() if made else value, part.reference, part.label)
    except BaseException as failure:  # a probe tells of everything, KeyboardInterrupt among it
        told = "".join(traceback.format_exception(failure))
        error = one_line(failure)
        if not isinstance(failure, PluginError):
            error = f"{type(failure).__name__}: {error}"
    seconds = time.perf_counter() - started
    finding = Finding(seconds, error, told, tuple(torch_changes(before, torch_state())))
    json.dump(asdict(finding), answer)
    answer.flush()


def _wait(child: int, timeout: float) -> str | None:
    """Wait for a child. Why it did not end well, or None."""
    until = time.monotonic() + timeout
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"does not end within {timeout:g} s"
        time.sleep(0.002)
    code: Any = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"ends the process by the signal {signal.Signals(-code).name}"
    return f"ends the process with status {code}"


if __name__ == "__main__":
    main(float(sys.argv[1]))
