"""The web application: the page, and a connection between each page and its session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from mytorch.playground.access import allowed
from mytorch.playground.exercises.client import Judge
from mytorch.playground.exercises.routes import routes
from mytorch.playground.workers import Worker, Workers

if TYPE_CHECKING:
    from mytorch.playground.exercises.load import Exercises

PAGE = Path(__file__).parent / "page"
DRAWING = Path("train", "drawing", "page")
"""Within mytorch: what draws a network. It is found and not imported, since that would import torch, too."""
HOSTS = ["127.0.0.1", "localhost", "[::1]"]
REFUSED, TAKEN_OVER, TOO_MANY, BROKEN = 4401, 4402, 4403, 4404
"""Why a connection is closed, as the page knows it."""
POLICY = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"


def application(token: str, first: dict[str, Any], own: Exercises) -> Starlette:
    """The application.

    token: what a page must show before its connection is accepted.
    first: the command by which each session begins.
    own: exercises beside those of the playground.
    """
    workers, judge = Workers(first), Judge()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await workers.prepare()
        yield
        await asyncio.gather(workers.close(), judge.close())

    async def page(_request: Request) -> Response:
        return FileResponse(PAGE / "index.html", headers={"Content-Security-Policy": POLICY})

    async def socket(connection: WebSocket) -> None:
        await connection.accept()
        if not allowed(connection, token):
            await connection.close(REFUSED)
            return
        worker = await workers.find(connection.query_params.get("session", ""))
        if worker is None:
            await connection.close(TOO_MANY)
            return
        await _serve(connection, worker, workers)

    return Starlette(
        routes=[
            Route("/", page),
            WebSocketRoute("/session", socket),
            *routes(own, judge, token),
            Mount("/page", StaticFiles(directory=PAGE)),
            Mount("/drawing", StaticFiles(directory=_drawing())),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)],
        lifespan=lifespan,
    )


def _drawing() -> Path:
    places = import_module("mytorch").__path__
    return next(found for place in places if (found := Path(place) / DRAWING).is_dir())


async def _serve(connection: WebSocket, worker: Worker, workers: Workers) -> None:
    """Pass messages both ways until the page goes or the process of the session ends."""

    async def send(message: bytes) -> None:
        try:
            await connection.send_bytes(message)
        except (RuntimeError, WebSocketDisconnect):  # the page is gone, which the loop below is told, too
            worker.page = None

    async def leave() -> None:
        with suppress(RuntimeError, WebSocketDisconnect):
            await connection.close(TAKEN_OVER)

    before, worker.page, worker.leave = worker.leave, send, leave
    ended = asyncio.create_task(worker.ended())
    try:
        if before is not None:  # a session belongs to the page that came last
            await before()
        await connection.send_text(json.dumps({"session": worker.name}))
        await worker.tell({"do": "hello"})
        while True:
            received = asyncio.create_task(connection.receive_text())
            await asyncio.wait({received, ended}, return_when=asyncio.FIRST_COMPLETED)
            if received.done():
                await worker.tell(received.result())
            else:
                received.cancel()
                await connection.close(BROKEN)
                break
    except (WebSocketDisconnect, RuntimeError, KeyError):  # it is gone, or sent what is no text
        pass
    finally:
        if worker.leave is leave:
            worker.page = worker.leave = None
            await worker.tell({"do": "pause"})
            worker.close_later(lambda: workers.drop(worker))
