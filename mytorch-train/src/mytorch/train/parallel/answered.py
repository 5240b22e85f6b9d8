"""Asking what may never answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

GRACE = 5.0
"""So many seconds a process that lost the others waits for word of them."""
T = TypeVar("T")


def answered(ask: Callable[[], T], seconds: float) -> T:
    """What a call gives, which may wait without an end, as for a store where the link to its machine is cut.

    Raises TimeoutError where it takes longer than so many seconds; it then goes on in a thread that nobody waits for.
    """
    found: Future[T] = Future()

    def run() -> None:
        try:
            found.set_result(ask())
        except BaseException as error:
            found.set_exception(error)

    Thread(target=run, daemon=True, name="mytorch store").start()
    try:
        return found.result(seconds)
    except TimeoutError:
        if found.done():  # it is the call's own
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from None
