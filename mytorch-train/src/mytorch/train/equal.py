"""Comparing nested values at a glance."""

from __future__ import annotations

from typing import Any


def equal(now: Any, before: Any) -> bool:
    """Whether nested lists and dicts hold the same tensors and equal values, by one comparison that Python makes.

    Of other tensors, one of a single number counts as the same if its number is; larger ones are different.
    """
    try:
        return bool(now == before)
    except Exception:  # other tensors and arrays do not compare as one
        return False


def is_plain(value: Any) -> bool:
    """Whether it is a number, a flag, a word or None, or a list or tuple of such."""
    if isinstance(value, (tuple, list)):
        return all(map(is_plain, value))
    return isinstance(value, (bool, int, float, str, type(None)))


def kept(value: Any) -> Any:
    """The same value, with lists, tuples and dicts as they are now, whatever is done to them later."""
    if isinstance(value, dict):
        return {name: kept(entry) for name, entry in value.items()}
    return type(value)(map(kept, value)) if type(value) in (tuple, list) else value
