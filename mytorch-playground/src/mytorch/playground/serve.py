"""Starting the server of the page."""

from __future__ import annotations

import secrets
import socket
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mytorch.plugins import ArgumentError

ADDRESS = "127.0.0.1"


def serve(first: dict[str, Any], port: int = 0, browse: bool = True, say: Callable[[str], object] = print) -> None:
    """Serve the page until Ctrl-C.

    first: the command by which each session begins, such as {"do": "experiment", "name": "disk"}.
    port: of 127.0.0.1; 0 takes a free one.
    browse: open the page in the browser.
    say: is given the address.
    Raises ArgumentError for a port that is taken.
    """
    import uvicorn

    from mytorch.playground.app import application

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((ADDRESS, port))
    except OSError as error:
        listening.close()
        raise ArgumentError(
            f"playground: port must be free, got {port}, {error.strerror}; leave --port out to take a free one"
        ) from None
    token = secrets.token_urlsafe(16)
    address = f"http://{ADDRESS}:{listening.getsockname()[1]}/#token={token}"
    config = uvicorn.Config(
        application(token, first), log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=3
    )
    server = uvicorn.Server(config)
    listening.listen(64)
    say(f"The playground is at {address} until Ctrl-C")
    if browse:
        webbrowser.open(address)
    with suppress(KeyboardInterrupt):  # the way to end it, which uvicorn raises again when all is closed
        server.run(sockets=[listening])
