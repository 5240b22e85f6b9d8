"""Importing parts in child processes that have torch already, and seeing what each import does.

Run as a program it reads a JSON list of parts and answers with one JSON line a part. It imports torch once and forks
a child for the parts of each distribution. A child goes on with the next part as long as the import was clean; after
an exit, a patch, a crash or output a new one begins, so that they concern that part alone.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import IO, Any

from mytorch.plugins.catalogue import Part
from mytorch.plugins.errors import PluginError
from mytorch.plugins.hooks import Hooks
from mytorch.plugins.shown import one_line
from mytorch.plugins.torch_state import torch_changes, torch_state

TIMEOUT = 60.0  # seconds after which an import that does not end is given up
SLOW = 0.5  # seconds an import may take by itself,
SHARE = 1 / 3  # or so much of the time that torch's import took in the same process: a busy machine slows both


@dataclass(frozen=True)
class Finding:
    """What the import of one part did.

    seconds: its own time, without torch's;  error: why it failed, or None;  changed: what of torch it changed;
    output: what it printed;  torch: the seconds that torch's own import took in the same process.
    """

    seconds: float = 0.0
    error: str | None = None
    traceback: str = ""
    changed: tuple[str, ...] = ()
    output: str = ""
    torch: float = 0.0

    @property
    def limit(self) -> float:
        """Seconds from which on it is slow."""
        return max(SLOW, SHARE * self.torch)


def probe(parts: list[Part], timeout: float = TIMEOUT) -> Iterator[Finding]:
    """Import parts in child processes, and tell what happened, in their order.

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
    started = time.perf_counter()
    for name in ("torch", "mytorch.core"):
        with contextlib.suppress(Exception):  # then each part that needs it tells why
            importlib.import_module(name)
    torch = time.perf_counter() - started
    for _, parts in itertools.groupby([Part(**content) for content in json.load(sys.stdin)], key=_distribution):
        left = list(parts)
        while left:
            findings = _in_child(left, timeout)
            for part, finding in zip(left, findings, strict=False):
                timed = _timed_fairly(part, replace(finding, torch=torch), timeout)
                print(json.dumps(asdict(timed)), flush=True)
            left = left[len(findings) :]


def _distribution(part: Part) -> str:
    return part.distribution


def _clean(finding: Finding) -> bool:
    """Whether the process may go on with another part, which would not be blamed for what this one did."""
    return finding.error is None and not finding.changed and not finding.output


def _timed_fairly(part: Part, finding: Finding, timeout: float) -> Finding:
    """What an import did; a slow one is done again and the faster counts: a cold disk is not the part's fault."""
    if finding.error is not None or finding.seconds <= finding.limit:
        return finding
    again = (replace(one, torch=finding.torch) for one in _in_child([part], timeout))
    return min(finding, *again, key=lambda one: one.seconds)


def _in_child(parts: list[Part], timeout: float) -> list[Finding]:
    """What the imports of the first parts did, one after the other, up to the first that is not clean."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile("w+") as answers:
        child = os.fork()
        if not child:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            for part in parts:
                finding = _answer(part, answers)
                sys.stdout.flush()
                sys.stderr.flush()
                if not _clean(finding) or os.fstat(output.fileno()).st_size:
                    break
            os._exit(0)
        ended = _wait(child, answers, timeout)
        output.seek(0)
        answers.seek(0)
        printed = output.read().decode(errors="replace")
        contents = [json.loads(line) for line in answers]
    findings = [Finding(**{**content, "changed": tuple(content["changed"])}) for content in contents]
    if len(findings) < len(parts) and all(map(_clean, findings)) and not (findings and printed):
        findings.append(Finding(error=ended or "ends the process"))
    findings[-1] = replace(findings[-1], output=printed)
    return findings


def _answer(part: Part, answers: IO[str]) -> Finding:
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
    answers.write(json.dumps(asdict(finding)) + "\n")
    answers.flush()
    return finding


def _wait(child: int, answers: IO[str], timeout: float) -> str | None:
    """Wait for a child that answers for a part in time. Why it did not end well, or None."""
    until, answered = time.monotonic() + timeout, 0
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        size = os.fstat(answers.fileno()).st_size
        if size > answered:
            until, answered = time.monotonic() + timeout, size
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
