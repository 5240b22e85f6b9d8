"""The application: what is answered at which path."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from mytorch.experiments.runs.run import Run
from mytorch.experiments.serve.answer import MADE
from mytorch.experiments.serve.choose_form import form_of
from mytorch.experiments.serve.gatherer import Gatherer
from mytorch.experiments.serve.limits import Limits
from mytorch.experiments.serve.media import CSV, JSON, choose_answer, require_media, require_plain
from mytorch.experiments.serve.metrics import Metrics
from mytorch.experiments.serve.openapi import openapi
from mytorch.experiments.serve.page import POLICY, page
from mytorch.experiments.serve.refusal import Refusal, unexpected
from mytorch.experiments.serve.require_host import RequireHost

WARNINGS = "Mytorch-Warnings"
"""The header with warnings, where the body has no place for them."""


def app_of(run: Run, limits: Limits, hosts: Sequence[str] = ()) -> Starlette:
    """An application that answers with the predictions of a run.

    POST /predict takes rows; GET / is a page for people, /openapi.json the same for programs, /health says whether
    it answers, and /metrics what it counted.
    hosts: names and addresses for which it answers, which the header Host of a request tells; empty for all.
    Raises RunError for a run of data that cannot be sent.
    """
    form, metrics = form_of(run.kept, run.dtype), Metrics(run.path.name)
    gatherer = Gatherer(run, form, limits, metrics)
    document = openapi(run, form, limits)
    shown = page(run, form, limits)

    async def predict(request: Request) -> Response:
        began, status = time.perf_counter(), 500
        try:
            response = await _predict(request, gatherer)
            status = response.status_code
        except Refusal as refusal:
            status = refusal.status
            raise
        finally:
            metrics.requests.labels(str(status)).inc()
            metrics.seconds.observe(time.perf_counter() - began)
        return response

    async def health(_: Request) -> Response:
        alive = gatherer.is_alive
        told = {"status": "ok" if alive else "the model does not answer", "run": run.path.name}
        return JSONResponse(told, 200 if alive else 503)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        gatherer.start()
        yield
        await asyncio.to_thread(gatherer.stop)

    routes = [
        Route("/predict", predict, methods=["POST"]),
        Route("/health", health),
        Route("/metrics", _answering(metrics.text, metrics.media)),
        Route("/openapi.json", _answering(lambda: document, JSON)),
        Route("/", lambda _: HTMLResponse(shown, headers=POLICY)),
    ]
    handlers = {Refusal: _refuse, HTTPException: _refuse_path, Exception: _fail}
    middleware = [Middleware(RequireHost, hosts=hosts)] if hosts else []
    app = Starlette(
        routes=routes,
        middleware=middleware,
        lifespan=lifespan,
        exception_handlers=handlers,  # type: ignore[arg-type]
    )
    app.state.gatherer = gatherer
    return app


def _answering(content: Callable[[], bytes], media: str) -> Callable[[Request], Response]:
    return lambda _: Response(content(), media_type=media)


async def _predict(request: Request, gatherer: Gatherer) -> Response:
    """The answer to one request. Raises Refusal."""
    form, limits = gatherer.form, gatherer.limits
    require_plain(request.headers.get("content-encoding"))
    media = require_media(request.headers.get("content-type"), form.takes, form.encoding)
    wanted = choose_answer(request.headers.get("accept"), media, MADE)
    if gatherer.open >= limits.waiting:
        raise Refusal(
            503,
            f"server: requests at once must be at most {limits.waiting}, got one more; try again later",
            "BusyError",
            {"Retry-After": "1"},
        )
    gatherer.open += 1
    began = time.monotonic()
    try:
        body = await _body(request, limits)
        left = limits.seconds - (time.monotonic() - began)
        async with asyncio.timeout(left):
            content, warnings = await gatherer.ask(media, wanted, body)
    except TimeoutError:
        raise Refusal(
            503,
            f"server: an answer must take at most {limits.seconds:g} seconds, got one that takes longer; send "
            "fewer rows at once, or try again later",
            "BusyError",
            {"Retry-After": "1"},
        ) from None
    finally:
        gatherer.open -= 1
    headers = {WARNINGS: _header(warnings)} if warnings and wanted != JSON else {}
    media_type = f"{CSV}; charset=utf-8" if wanted == CSV else wanted
    return Response(content, media_type=media_type, headers=headers)


async def _body(request: Request, limits: Limits) -> bytes:
    """The body, if it is not too large and comes in time. Raises Refusal."""
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > limits.body:
        raise _too_large(limits, f"{length} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                body += part
                if len(body) > limits.body:
                    raise _too_large(limits, "more")
    except ClientDisconnect:
        raise Refusal(
            499, "request: must come as a whole, got a part"
        ) from None  # as nginx counts it; nobody reads it
    except TimeoutError:
        raise Refusal(
            408,
            f"request: must come within {limits.seconds:g} seconds, got {len(body)} bytes",
            headers={"Connection": "close"},
        ) from None
    if not body:
        raise Refusal(400, "request: must have a body, got none")
    return bytes(body)


def _too_large(limits: Limits, got: str) -> Refusal:
    return Refusal(
        413,
        f"request: must have at most {limits.body} bytes, got {got}; send the rows in several requests",
        headers={"Connection": "close"},
    )


def _header(warnings: list[str]) -> str:
    """Texts as a header, which has ASCII alone."""
    return " ".join("; ".join(warnings).split()).encode("ascii", "backslashreplace").decode()


async def _refuse(_: Request, refusal: Refusal) -> Response:
    return JSONResponse(refusal.told(), refusal.status, refusal.headers)


async def _refuse_path(request: Request, error: HTTPException) -> Response:
    """An unknown path, or a method that it does not take."""
    if error.status_code == 405:
        methods = ", ".join(sorted((error.headers or {}).get("Allow", "GET").split(", ")))
        text = f"request: method of {request.url.path} must be {methods}, got {request.method}"
    else:
        text = (
            f"request: path must be /predict, /, /openapi.json, /health or /metrics, got {request.url.path[:200]}"
            if error.status_code == 404
            else f"request: {error.detail}"
        )
    return await _refuse(request, Refusal(error.status_code, text, headers=error.headers))


async def _fail(request: Request, error: Exception) -> Response:
    return await _refuse(request, unexpected(error))
