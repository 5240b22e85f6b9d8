"""The engine of a name."""

from __future__ import annotations

import sys

from mytorch.core import ArgumentError
from mytorch.plugins import nearest, shown
from mytorch.train.engine import Eager, Engine

ENGINES = ("eager", "compiled")


def make_engine(name: str, quiet: bool = False) -> Engine:
    """The engine of a name; unless `quiet`, it says on stderr what takes long. Raises ArgumentError for no engine."""
    require_engine(name)
    if name == "eager":
        return Eager()
    from mytorch.train.compiled import Compiled  # tracing and compiling take long to import

    return Compiled(_nothing if quiet else say)


def require_engine(name: str) -> None:
    """Raise ArgumentError unless there is an engine of this name."""
    if name not in ENGINES:
        raise ArgumentError(
            f"engine: must be one of {', '.join(ENGINES)}, got {shown(name)}. {nearest(str(name), ENGINES)}"
        )


def say(line: str) -> None:
    """Tell the user what takes long."""
    print(f"compiled engine: {line}", file=sys.stderr)


def _nothing(_line: str) -> None:
    pass
