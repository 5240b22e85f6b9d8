"""Starting the server of the page."""

from __future__ import annotations

import secrets
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mytorch.experiments.serve.signals_to import signals_to
from mytorch.playground.pipe import LONGEST
from mytorch.plugins import ArgumentError

if TYPE_CHECKING:
    from mytorch.playground.exercises.load import Exercises

ADDRESS = "127.0.0.1"
USUAL = 8917
"""The port that is taken if it is free: browsers keep what a page stores for each port by itself."""


def serve(
    first: dict[str, Any],
    port: int | None = None,
    browse: bool = True,
    say: Callable[[str], object] = print,
    exercises: Path | None = None,
) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    first: the command by which each session begins, such as {"do": "experiment", "name": "disk"}.
    port: of 127.0.0.1; 0 takes a free one, and None that of `USUAL` or a free one.
    browse: open the page in the browser.
    say: is given the address.
    exercises: a folder with exercises of your own, shown before those of the playground.
    Raises ArgumentError for a port that is taken, and for exercises that cannot be read or solved.
    """
    import uvicorn

    from mytorch.playground.app import application

    own = _own(exercises)
    listening = _listen(port)
    token = secrets.token_urlsafe(16)
    address = f"http://{ADDRESS}:{listening.getsockname()[1]}/#token={token}"
    config = uvicorn.Config(
        application(token, first, own),
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=3,
        ws_max_size=LONGEST,  # a table of 15 MB is longer in JSON
    )
    server = uvicorn.Server(config)
    with listening, signals_to(server.handle_exit):
        listening.listen(64)
        say(f"The playground is at {address} until Ctrl-C")
        if browse:
            webbrowser.open(address)
        server.run(sockets=[listening])


def _own(folder: Path | None) -> Exercises:
    """The exercises of a folder."""
    if folder is None:
        return {}
    from mytorch.playground.exercises.load import load_exercises
    from mytorch.playground.exercises.verify import require_solvable

    own = load_exercises(folder)
    require_solvable(own)
    return own


def _listen(port: int | None) -> socket.socket:
    """A socket of a port, or of the usual one, or else of a free one."""
    if port is None:
        try:
            return _bound(USUAL)
        except OSError:
            return _bound(0)
    try:
        return _bound(port)
    except OSError as error:
        raise ArgumentError(
            f"playground: port must be free, got {port}, {error.strerror}; leave --port out to take a free one"
        ) from None


def _bound(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((ADDRESS, port))
    except OSError:
        listening.close()
        raise
    return listening
