"""The process in which the network of a session is trained: commands come by its input, messages go by its output."""

from __future__ import annotations

import json
import os
import sys
import warnings
from threading import Thread
from typing import BinaryIO

from mytorch.playground import pipe
from mytorch.playground.session import Command, Session


def main() -> None:
    """Serve the page that the other end of the pipe stands for, until it closes."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything else prints is no message
    warnings.simplefilter("ignore")  # for whom they are meant sits before the page
    session = Session(lambda message: pipe.write(out, message))
    Thread(target=_read, args=(sys.stdin.buffer, session), daemon=True, name="commands").start()
    try:
        session.run()
    except (BrokenPipeError, KeyboardInterrupt):
        return  # the server has gone


def _read(file: BinaryIO, session: Session) -> None:
    """Pass commands on until there are no more; what is none is left out."""
    while (message := pipe.read(file)) is not None:
        command: Command | None = None
        try:
            command = json.loads(message, parse_int=_whole)
        except (ValueError, RecursionError):
            continue
        if isinstance(command, dict):
            session.commands.put(command)
    session.commands.put(None)


def _whole(digits: str) -> int | float:
    """A number that a page writes without a point: JavaScript writes 1e20 so, too."""
    return int(digits) if len(digits) < 19 else float(digits)


if __name__ == "__main__":
    main()
