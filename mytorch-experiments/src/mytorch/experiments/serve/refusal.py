"""A request that is not answered with predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """What is said in place of predictions. It never leaves the server.

    status: that of HTTP.  kind: the name of the error.  headers: that go with it.
    """

    def __init__(
        self, status: int, text: str, kind: str = "RequestError", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.status, self.kind, self.headers = status, kind, dict(headers or {})

    def told(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"error": {"status": self.status, "kind": self.kind, "message": str(self)}}


def unexpected(error: BaseException) -> Refusal:
    """What a client is told of an error that is not one of the request."""
    return Refusal(500, "server: an error that is not one of the request; its log tells more", type(error).__name__)
