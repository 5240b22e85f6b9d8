"""Reading TOML that somebody else wrote: whatever it holds, one kind of error comes out."""

import tomllib
from typing import Any


def parse_toml(text: str) -> dict[str, Any]:
    """The contents of a TOML text. Raises ValueError, with line and column where they are known.

    Example:
        >>> from mytorch.plugins import parse_toml
        >>> parse_toml("lr = 0.1")
        {'lr': 0.1}
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("lists or tables within each other, deeper than can be read") from None
