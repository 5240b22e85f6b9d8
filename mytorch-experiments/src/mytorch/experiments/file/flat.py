"""The keys of an experiment as dotted names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no table, nor a list of them, by its dotted key; list entries are numbers from 0.

    Example:
        >>> dict(flat({"optimizer": {"lr": 0.1}, "callbacks": [{"type": "KeepBest"}]}))
        {'optimizer.lr': 0.1, 'callbacks.0.type': 'KeepBest'}
    """
    if isinstance(value, Mapping):
        entries = list(value.items())
    elif isinstance(value, list) and any(isinstance(entry, (Mapping, list)) for entry in value):
        entries = [(str(number), entry) for number, entry in enumerate(value)]
    else:
        yield key, value
        return
    for name, entry in entries:
        yield from flat(entry, f"{key}.{name}" if key else str(name))
