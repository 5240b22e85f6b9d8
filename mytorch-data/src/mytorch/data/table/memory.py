"""Whether a table fits into the memory that is free, before any of it is taken."""

from __future__ import annotations

import re
from pathlib import Path

from mytorch.data.table.errors import TableError

NUMBER = 8
"""Bytes of a number."""
GIB = 2**30
_MEMINFO = Path("/proc/meminfo")
_LIMIT, _TAKEN = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))


def free_memory() -> int | None:
    """Bytes that this process may still take, None where the system does not say so as Linux does."""
    found = []
    try:
        if known := re.search(r"MemAvailable:\s*(\d+) kB", _MEMINFO.read_text()):
            found.append(int(known[1]) * 1024)
        if (limit := _LIMIT.read_text().strip()).isdigit():  # of a container
            found.append(max(0, int(limit) - int(_TAKEN.read_text())))
    except (OSError, ValueError):
        pass
    return min(found, default=None)


def require_memory(path: Path, rows: int, columns: int, stored: int = 0) -> None:
    """Raise TableError unless there is memory for so many numbers, and for the bytes as they are stored."""
    needed, free = rows * columns * NUMBER + stored, free_memory()
    if free is not None and needed > free:
        raise TableError(
            f"{path}: must fit into memory, got {rows} rows of {columns} columns, which take {needed / GIB:.1f} GiB "
            f"where {free / GIB:.1f} GiB are free; read fewer columns by features, or fewer rows"
        )
