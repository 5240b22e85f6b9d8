"""What a checkpoint can hold of a state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def foreign(value: Any, place: str) -> Iterator[str]:
    """Each entry that a checkpoint cannot hold, in words."""
    if value is None or isinstance(value, (bool, int, float, str, Tensor)):
        return
    at = f" at {place.lstrip('.')}" if place else ""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            if type(key) not in (str, int):
                yield f"the key {key!r}{at}, which is neither a string nor a whole number"
            yield from foreign(entry, f"{place}.{key}")
    elif isinstance(value, (list, tuple)):
        for number, entry in enumerate(value):
            yield from foreign(entry, f"{place}.{number}")
    else:
        yield f"a {type(value).__name__}{at}"
