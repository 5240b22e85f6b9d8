"""The media types of bodies, and which one a client wants for its answer."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from email.message import Message

from mytorch.experiments.serve.refusal import Refusal

JSON, CSV, NPZ, TEXT, PNG, JPEG = (
    "application/json",
    "text/csv",
    "application/x-npz",
    "text/plain",
    "image/png",
    "image/jpeg",
)


def require_media(header: str | None, taken: Sequence[str], encoding: str) -> str:
    """The media type of a body, of those that are taken. Raises Refusal for another one, or another charset.

    encoding: that of text, but for JSON, which is UTF-8.
    """
    message = Message()
    message["content-type"] = header or ""
    media = message.get_content_type() if header else "none"
    if media not in taken:
        raise Refusal(415, f"request: Content-Type must be {' or '.join(taken)}, got {media}", headers=_takes(taken))
    charset = message.get_param("charset")
    wanted = "utf-8" if media == JSON else encoding
    if isinstance(charset, str) and not _same(charset, wanted):
        raise Refusal(415, f"request: charset must be {wanted}, got {charset}", headers=_takes(taken))
    return media


def require_plain(header: str | None) -> None:
    """Raise Refusal for a body that is packed."""
    if header not in (None, "", "identity"):
        raise Refusal(
            415, f"request: Content-Encoding must be left out, got {header}", headers={"Accept-Encoding": "identity"}
        )


def choose_answer(accept: str | None, given: str, made: Sequence[str]) -> str:
    """The media type of the answer: the one that is wanted most, or else that of the request, or else JSON.

    made: those that can be made.  Raises Refusal if none of them is wanted.
    """
    usual = given if given in made else JSON
    shares = [_share(part) for part in (accept or "*/*").split(",")]
    order = [usual, *(media for media in made if media != usual)]
    wanted = {media: _weight(media, shares) for media in order}
    best = max(order, key=lambda media: wanted[media])  # the first of those that are wanted equally
    if wanted[best] <= 0:
        raise Refusal(406, f"request: Accept must allow {' or '.join(made)}, got {accept}")
    return best


def _takes(taken: Sequence[str]) -> dict[str, str]:
    return {"Accept-Post": ", ".join(taken)}


def _same(charset: str, wanted: str) -> bool:
    """Whether text in one encoding is read by another; ASCII is part of what is used."""
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return False
    return name in ("ascii", codecs.lookup(wanted).name)


def _share(part: str) -> tuple[str, float]:
    """A media range of an Accept header and its weight."""
    media, _, rest = part.partition(";")
    quality = next((one.split("=", 1)[1] for one in rest.split(";") if one.strip().startswith("q=")), "1")
    try:
        return media.strip().lower(), float(quality)
    except ValueError:
        return media.strip().lower(), 1.0


def _weight(media: str, shares: Sequence[tuple[str, float]]) -> float:
    """How much a media type is wanted: what is said of it most specifically."""
    for pattern in (media, f"{media.split('/')[0]}/*", "*/*"):
        if found := [quality for name, quality in shares if name == pattern]:
            return max(found)
    return 0.0
