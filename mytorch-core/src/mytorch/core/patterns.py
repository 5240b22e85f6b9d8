"""Patterns of names, as the shell has them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase


def matches(name: str, patterns: str | Sequence[str]) -> bool:
    """Whether a name fits a pattern, or one of several: "*" stands for any text, "?" for one letter.

    Example:
        >>> matches("encoder.0.bias", "*bias"), matches("encoder.0.bias", ["decoder.*", "head.*"])
        (True, False)
    """
    return any(fnmatchcase(name, pattern) for pattern in ((patterns,) if isinstance(patterns, str) else patterns))
