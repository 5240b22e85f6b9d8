"""What the environment says of the processes that were started together, by torchrun or in its manner."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from mytorch.core import ArgumentError
from mytorch.plugins import shown

_ALONE = ContextVar("alone", default=False)


class Place(NamedTuple):
    """A process among those that were started together.

    rank: its number, from 0, in a world of `size`; local_rank: that on its machine.
    address, port: where the processes meet.
    agent: whether torchrun itself has the store there; otherwise the first process opens it.
    """

    rank: int
    size: int
    local_rank: int
    address: str
    port: int
    agent: bool


def launched() -> Place | None:
    """This process's place among several, as torchrun writes it into the environment; None for one that is alone.

    Raises ArgumentError for an environment that says only part of it, or numbers that are none.
    """
    if _ALONE.get() or os.environ.get("WORLD_SIZE", "1") == "1":
        return None
    if lacking := [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        raise ArgumentError(
            f"parallel: WORLD_SIZE must come with RANK, MASTER_ADDR and MASTER_PORT, got no {', '.join(lacking)}; "
            "start the processes by torchrun"
        )
    place = Place(
        _number("RANK"),
        _number("WORLD_SIZE"),
        _number("LOCAL_RANK", 0),
        os.environ["MASTER_ADDR"],
        _number("MASTER_PORT"),
        os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
    )
    if place.rank >= place.size:
        raise ArgumentError(f"parallel: RANK must be below WORLD_SIZE, {place.size}, got {place.rank}")
    return place


@contextmanager
def alone() -> Iterator[None]:
    """Within this context, this process does what one does alone, though others were started with it."""
    before = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(before)


def is_first() -> bool:
    """Whether this process prints and writes: it is alone, or the first of several."""
    place = launched()
    return place is None or place.rank == 0


def require_alone(what: str) -> None:
    """Raise ArgumentError where several processes were started together to do what one does."""
    if (place := launched()) is not None:
        raise ArgumentError(
            f"{what}: must run in one process, got one of {place.size} that were started together; start it without "
            "torchrun"
        )


def _number(name: str, default: int | None = None) -> int:
    text = os.environ.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise ArgumentError(f"parallel: {name} must be a whole number of at least 0, got {shown(text)}")
    return int(text)
