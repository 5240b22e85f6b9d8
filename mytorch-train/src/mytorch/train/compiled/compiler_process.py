"""A process that compiles a training step while this one trains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

from mytorch.train.compiled.compile_order import LOG, ORDER, PACKAGE, REASON, Order
from mytorch.train.compiled.package import PREFIX, clear_left_behind
from mytorch.train.compiled.program import Plan

NICE = 10
"""What the process gives way by to others."""


class CompilerProcess:
    """Compiles a plan in a process of its own, with a folder of its own in the temporary directory.

    It is started anew and given the traced graph alone, so none of the program that trains runs in it. It gives way to
    other processes, and ends together with everything that it began when this process ends, however that happens.
    plan: is traced by the constructor. Raises what tracing raises, and OSError where no process can be started.
    """

    def __init__(self, plan: Plan) -> None:
        order = Order.of(plan).packed()
        clear_left_behind()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.package = self.folder / PACKAGE
        """The file that the process writes; `close` deletes it."""
        try:
            self._process = _start(self.folder, order)
        except BaseException:
            rmtree(self.folder, ignore_errors=True)
            raise
        self.started = time.monotonic()
        self._finalizer = weakref.finalize(self, _end, self._process, self.folder, os.getpid())

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self.started

    def ended(self) -> bool:
        """Whether there is a package, or a reason why there is none."""
        return self._process.poll() is not None

    def obstacle(self) -> str | None:
        """Why the process, which has ended, wrote no package; None if it did."""
        return None if self._process.returncode == 0 else _reason(self.folder, self._process.returncode)

    def close(self) -> None:
        """End the process and everything that it began, and delete its folder."""
        self._finalizer()


def _start(folder: Path, order: bytes) -> subprocess.Popen[bytes]:
    """The process, which reads its order from its input and takes the end of it for the end of this process."""
    own = {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONWARNINGS": "ignore",
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "torch"),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
    (folder / ORDER).write_bytes(order)
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mytorch.train.compiled.compile_apart", str(folder)],
            env={**os.environ, **own},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            **apart,
        )
    with suppress(AttributeError, OSError):  # Windows, or a process that has ended already
        os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    return process


def _end(process: subprocess.Popen[bytes], folder: Path, owner: int) -> None:
    if os.getpid() != owner:  # a copy of the process that started it, as a DataLoader makes them
        return
    if hasattr(os, "killpg"):
        with suppress(OSError):  # all have ended
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
    rmtree(folder, ignore_errors=True)


def _reason(folder: Path, status: int) -> str:
    with suppress(OSError):
        if text := (folder / REASON).read_text(encoding="utf-8").strip():
            return text
    if status < 0:
        return f"the process that compiles was ended by signal {-status}"
    with suppress(OSError):
        if told := (folder / LOG).read_text(encoding="utf-8", errors="replace").split("\n"):
            last = next((line for line in reversed(told) if line.strip()), "")[:250]
            return f"the process that compiles ended with status {status} ({last})"
    return f"the process that compiles ended with status {status}"
