"""Which process trains on a run: it holds a lock on a file of the folder, which the system takes back when it ends."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mytorch.plugins import FileError
from mytorch.train.errors import RunError

LOCK_FILE = "run.lock"
NO_LOCKS = (None, errno.ENOLCK, errno.EOPNOTSUPP)
"""What a file system without locks answers, such as a network's without its lock service; None: there is no number."""
SECONDS = 1.0
"""How long to wait for a lock: whoever lists runs holds each for a moment."""


def lock_run(path: Path) -> FileLock:
    """The lock of a run, held. Raises RunError if another process trains on it, FileError in a read-only folder."""
    lock = FileLock(path / LOCK_FILE)
    try:
        lock.acquire(timeout=SECONDS)
    except Timeout:
        raise RunError(
            f"{path}: must be trained by one process at a time, got one that another process trains on; wait for it, "
            "or end it first"
        ) from None
    except (OSError, NotImplementedError) as error:
        rule = (
            "be on a file system that can lock files" if getattr(error, "errno", None) in NO_LOCKS else "be writable"
        )
        raise FileError(f"{path / LOCK_FILE}: must {rule}, got {getattr(error, 'strerror', error)}") from error
    return lock


def process_of_now() -> dict[str, Any]:
    """This process, as the summary of a run names it."""
    return {"pid": os.getpid(), "host": socket.gethostname()}


def is_alive(path: Path, process: Any) -> bool | None:
    """Whether a process trains on a run; None if that cannot be told from here.

    process: what the summary says of it, as `process_of_now` gave it.
    """
    if (path / LOCK_FILE).is_file():
        lock = FileLock(path / LOCK_FILE)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except (OSError, NotImplementedError):  # a folder that is read-only here
            return None
        lock.release()
    host = process.get("host") if isinstance(process, dict) else None
    return False if host in (None, socket.gethostname()) else None
