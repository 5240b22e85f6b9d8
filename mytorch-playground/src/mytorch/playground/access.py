"""Who may speak to the server."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection


def allowed(connection: HTTPConnection, token: str) -> bool:
    """Whether a page of this server asks, and knows the token."""
    origin, host = connection.headers.get("origin"), connection.headers.get("host")
    shown = connection.query_params.get("token", "")
    return (
        origin is not None
        and urlsplit(origin).netloc == host
        and secrets.compare_digest(shown.encode(), token.encode())
    )
