"""Serving a run until a signal ends it."""

from __future__ import annotations

import math
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

from mytorch.core import ArgumentError
from mytorch.experiments.runs.run import Run
from mytorch.experiments.serve.choose_form import form_of
from mytorch.experiments.serve.hosts import hosts_of
from mytorch.experiments.serve.process import AppOfProcess
from mytorch.experiments.serve.settings import Settings
from mytorch.experiments.serve.signals_to import signals_to
from mytorch.plugins import MissingRequirementError

NEEDS = ("starlette", "uvicorn", "prometheus_client")
COUNTS = "PROMETHEUS_MULTIPROC_DIR"
"""The variable with the folder in which processes share their counts; set before prometheus_client is imported."""
KEPT_ALIVE = 65
"""Seconds for which an idle connection stays open: longer than the 60 for which proxies keep theirs."""
BACKLOG = 2048
"""Connections that the system holds until they are accepted."""
HEARTBEAT = 30
"""Seconds without a sign of life after which a process is replaced: so long, one that dies while it is asked is
missed, and one that begins may take to load."""


def serve(
    settings: Settings, host: str, port: int, log_requests: bool = False, say: Callable[[str], object] = print
) -> None:
    """Answer requests with the predictions of a run, until SIGINT or SIGTERM; what was asked before is answered.

    host, port: where to listen; port 0 is any that is free.
    log_requests: whether each request is a line on standard output.
    say: is given the address, once requests are taken there.
    Raises what `load` raises, RunError for a run of data that cannot be sent, ArgumentError for an address at which
        this process cannot listen and for a name that is none, MissingRequirementError without the extra `serve`.
    """
    require_extra()
    run = settings.load()
    form = form_of(run.kept, run.dtype)
    name, about = run.path.name, form.about
    with _listening(host, port) as listener:
        settings = replace(settings, hosts=hosts_of(listener.getsockname()[0], host, settings.hosts))
        with _server(run, settings, listener, log_requests) as answer:
            address = _address(listener)
            processes = f" in {settings.workers} processes" if settings.workers > 1 else ""
            say(f"Serving {name} at {address}{processes}; Ctrl-C ends it")
            say(f"  {about} {address}/ shows how to ask.")
            del run, form  # each process has its own
            answer()


def require_extra() -> None:
    """Raise MissingRequirementError unless the libraries of the extra are installed."""
    for name in NEEDS:
        try:
            found = find_spec(name)  # without an import: prometheus_client decides then how it counts
        except (ImportError, ValueError):
            found = None
        if found is None:
            raise MissingRequirementError(
                f"serve: {name} is not installed. Install: python -m pip install './mytorch-experiments[serve]'"
            )


def _server(
    run: Run, settings: Settings, listener: socket.socket, log_requests: bool
) -> AbstractContextManager[Callable[[], None]]:
    """What answers until a signal ends it; a signal that comes within the context before ends it, too."""
    if settings.workers == 1:
        return _here(run, settings, listener, log_requests)
    return _in_processes(settings, listener, log_requests)


@contextmanager
def _here(run: Run, settings: Settings, listener: socket.socket, log_requests: bool) -> Iterator[Callable[[], None]]:
    import uvicorn

    from mytorch.experiments.serve.app import app_of

    server = uvicorn.Server(_config(app_of(run, settings.limits, settings.hosts), settings, log_requests))
    with signals_to(server.handle_exit):
        yield partial(server.run, sockets=[listener])


@contextmanager
def _in_processes(settings: Settings, listener: socket.socket, log_requests: bool) -> Iterator[Callable[[], None]]:
    from uvicorn.supervisors import Multiprocess

    with tempfile.TemporaryDirectory(prefix="mytorch-serve-") as counts:
        os.environ[COUNTS] = counts
        try:
            config = _config(AppOfProcess(settings), settings, log_requests, factory=True)
            with signals_to(lambda *_: None):
                yield Multiprocess(config, sockets=[listener]).run  # which has set handlers of its own
        finally:
            del os.environ[COUNTS]


def _config(app: Any, settings: Settings, log_requests: bool, factory: bool = False) -> Any:
    import uvicorn

    return uvicorn.Config(
        app,
        factory=factory,
        workers=settings.workers,
        lifespan="on",
        ws="none",
        server_header=False,
        access_log=log_requests,
        log_level="info" if log_requests else "warning",
        backlog=BACKLOG,
        timeout_worker_healthcheck=HEARTBEAT,
        timeout_keep_alive=KEPT_ALIVE,
        timeout_graceful_shutdown=math.ceil(settings.limits.seconds),
    )


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at an address, which takes connections. Raises ArgumentError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = _listener(family, host, port)
    except socket.gaierror as error:
        raise ArgumentError(
            f"serve: host must be an address of this machine, such as 127.0.0.1, got {host!r}: {error.strerror}"
        ) from error
    except OSError as error:
        raise ArgumentError(
            f"serve: {host}:{port} must be an address at which this program may listen, got "
            f"{os.strerror(error.errno or 0)}; choose another one with --port, or any that is free with --port 0"
        ) from error
    with listener:
        yield listener


def _listener(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    """A socket that says that it is of TCP: asyncio sends small parts of an answer at once over these alone."""
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere two servers could have one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
