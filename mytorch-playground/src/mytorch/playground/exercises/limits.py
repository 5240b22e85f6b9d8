"""Limits of the process that runs an answer, which the operating system keeps: Linux all of them, macOS some.

They hold whatever Python code does: no further file can be opened, none can grow, and memory and time are limited.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

CPU_SECONDS = 2
"""Of computing."""
WALL_SECONDS = 15.0
"""From the question to the answer, on a busy machine."""
MEMORY = 512 * 2**20
"""Bytes beyond what Python and torch hold."""


def available() -> bool:
    """Whether the system can limit a process."""
    return hasattr(os, "fork")


def limit(folder: str) -> None:
    """Limit this process for good, in an empty folder."""
    import resource

    os.chdir(folder)
    os.umask(0o777)
    bounds = {
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    held = _held()
    if held is not None:
        bounds[resource.RLIMIT_AS] = held + MEMORY
    for kind, bound in bounds.items():
        with suppress(ValueError, OSError):  # a system that has no such limit, or a lower one already
            resource.setrlimit(kind, (bound, bound + 1 if kind == resource.RLIMIT_CPU else bound))


def _held() -> int | None:
    """Bytes of the address space of this process, where the system tells."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
