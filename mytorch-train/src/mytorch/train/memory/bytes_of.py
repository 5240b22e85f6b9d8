"""Sizes of memory as people write them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from mytorch.core import ArgumentError
from mytorch.plugins import shown

UNITS = {"B": 1, **{f"{prefix}B": 1000**power for power, prefix in enumerate("kMGT", 1)}}
UNITS |= {f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", 1)}
_WRITTEN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*")


def bytes_of(owner: str, memory: Any) -> int:
    """The number of bytes of a size such as "2 GiB" or "500 MB", or of a whole number of bytes.

    owner: whose argument it is, for the error. Raises ArgumentError for what is no size above 0.

    Example:
        >>> from mytorch.train.memory import bytes_of
        >>> bytes_of("memory", "1.5 KiB"), bytes_of("memory", 10)
        (1536, 10)
    """
    count = memory if type(memory) is int else _parsed(memory) if isinstance(memory, str) else 0
    if count < 1:
        raise ArgumentError(
            f'{owner}: must be a size of memory above 0, such as "2 GiB", or a number of bytes, got {shown(memory)}; '
            f"its unit is one of {', '.join(UNITS)}"
        )
    return count


def _parsed(text: str) -> int:
    """The bytes of a number and its unit; 0 for any other text."""
    written = _WRITTEN.fullmatch(text)
    known = {name.lower(): size for name, size in UNITS.items()}
    if written is None or written[2].lower() not in known:
        return 0
    return int(Fraction(written[1]) * known[written[2].lower()])
