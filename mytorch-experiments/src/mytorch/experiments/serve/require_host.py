"""Requests for other hosts are refused: a page of the internet whose name leads to this machine asks nothing of it."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mytorch.experiments.serve.hosts import name_in
from mytorch.experiments.serve.refusal import Refusal
from mytorch.plugins import listed, shown


class RequireHost:
    """An application that answers requests for some hosts alone, with any port; the others are refused in JSON.

    TrustedHostMiddleware of starlette does the same, but says in plain text that a host is invalid, not what to do.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self.app, self.hosts = app, frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = Headers(scope=scope).get("host", "") if scope["type"] == "http" else None
        if host is None or name_in(host) in self.hosts:
            await self.app(scope, receive, send)
            return
        refusal = Refusal(
            421,
            f"request: Host must be {listed(sorted(self.hosts))}, got {shown(host[:200])}; whoever started the server "
            "names others with --allow-host",
        )
        await JSONResponse(refusal.told(), refusal.status)(scope, receive, send)
