"""Ending a server by a signal."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def signals_to(handler: Callable[..., Any]) -> Iterator[None]:
    """Within this context, signals that end a program are handed to a server, which ends, and raise nothing else.

    It begins before anybody is told that the server runs: uvicorn takes the signals only after its own start.
    """
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
