"""How much memory there is, asked before it is taken: a system that runs out of it ends the process without a word."""

import functools
import os
import re
from contextlib import suppress
from pathlib import Path

from mytorch.plugins.errors import ArgumentError

_GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_REFUSED = re.compile(
    r"(?:can't|cannot) allocate memory|not enough memory|out of memory|(?:storage size|stride) calculation overflowed",
    re.IGNORECASE,
)
_TRIED = re.compile(r"tried to allocate ([\d.]+ ?\w*)", re.IGNORECASE)


@functools.cache
def memory() -> int | None:
    """Bytes of this machine, or of the container that the process runs in; None if the system does not tell."""
    found = []
    with suppress(AttributeError, OSError, ValueError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in _GROUP_LIMITS:
        with suppress(OSError, ValueError):  # "max" where there is none
            found.append(int(Path(limit).read_text()))
    return min(found, default=None)


def require_memory(owner: str, what: str, needed: int, remedy: str) -> None:
    """Raise ArgumentError if something takes more bytes than there are.

    Example:
        >>> from mytorch.plugins import require_memory
        >>> require_memory("Disk", "samples", 1000 * 24, "take fewer samples")
    """
    there = memory()
    if there is not None and needed > there:
        rule = f"must fit into the memory of this machine, {in_words(there)}"
        raise ArgumentError(f"{owner}: {what} {rule}, got {in_words(needed)}; {remedy}")


def lack_of_memory(error: BaseException) -> str | None:
    """What an error tells of memory that was refused, in words; None if it tells of something else."""
    text = str(error)
    if not isinstance(error, MemoryError) and not (isinstance(error, RuntimeError) and _REFUSED.search(text)):
        return None
    tried = _TRIED.search(text)
    size = f", {in_words(int(tried[1].split()[0]))}" if tried and tried[1].split()[0].isdigit() else ""
    return f"more memory was asked for than the system gives{size}; make the batch or the model smaller"


def in_words(count: int) -> str:
    """A number of bytes, such as "3.6 GB"."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} bytes"
