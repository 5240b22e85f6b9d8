"""The versions of torch that this project is tested with, known without importing it."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

OLDEST, NEWEST = "2.6", "2.14"
"""The first and the last with which the tests of what is computed eagerly pass; tox.ini has an environment of each."""
COMPILING = "2.13"
"""The first that steps are compiled with: an older one traces less."""


def is_older(installed: str, than: str) -> bool:
    """Whether a version, such as "2.13.0+cpu", comes before another; one that is no version does not."""
    found = _numbers(installed)
    return found is not None and found < (_numbers(than) or found)


def outside_of_range(installed: str) -> str | None:
    """What to say of a version of torch that this project is not tested with; None if it is."""
    found, oldest, newest = map(_numbers, (installed, OLDEST, NEWEST))
    if found is None or oldest is None or newest is None or oldest <= found <= newest:
        return None
    return (
        f"torch: version must be one that mytorch is tested with, {OLDEST} to {NEWEST}, got {installed}; its kernels "
        "may compute something else: compare with PyTorch by `mytorch parity`, or install one of those"
    )


def installed_torch() -> str | None:
    """The version of torch that is installed, by its metadata; None without torch."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, int] | None:
    found = re.match(r"(\d+)\.(\d+)", text)
    return None if found is None else (int(found[1]), int(found[2]))
