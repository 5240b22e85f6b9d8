"""The engine of a name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from mytorch.core import ArgumentError
from mytorch.plugins import nearest, shown
from mytorch.train.auto import Auto
from mytorch.train.engine import Eager, Engine

ENGINES = ("eager", "compiled", "auto")


def make_engine(name: str, quiet: bool = False) -> Engine:
    """The engine of a name; unless `quiet`, it says on stderr what takes long. Raises ArgumentError for no engine."""
    require_engine(name)
    if name == "eager":
        return Eager()
    if name == "auto":
        return Auto(_nothing if quiet else partial(say, engine="auto"))
    from mytorch.train.compiled import Compiled  # tracing and compiling take long to import

    return Compiled(_nothing if quiet else say)


def require_engine(name: str, engines: Sequence[str] = ENGINES) -> None:
    """Raise ArgumentError unless it is the name of one of these engines."""
    if name not in engines:
        raise ArgumentError(
            f"engine: must be one of {', '.join(engines)}, got {shown(name)}. {nearest(str(name), engines)}"
        )


def say(line: str, engine: str = "compiled") -> None:
    """Tell the user what takes long."""
    print(f"{engine} engine: {line}", file=sys.stderr)


def _nothing(_line: str) -> None:
    pass
