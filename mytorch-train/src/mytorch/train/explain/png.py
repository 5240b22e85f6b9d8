"""A small picture as the text of a PNG, for pages that need nothing beside them."""

from __future__ import annotations

import base64
import struct
import zlib

import torch
from torch import Tensor

LEVELS, NONE, GAP = 251, 254, 255
"""How many colours stand for numbers, and which entries of the palette for what is not finite and for no number."""
ORANGE, WHITE, BLUE, BLACK, GREEN = (230, 159, 0), (255, 255, 255), (0, 114, 178), (0, 0, 0), (60, 220, 90)
Colour = tuple[int, int, int]


def _between(first: Colour, last: Colour, count: int) -> list[Colour]:
    steps = [place / max(1, count - 1) for place in range(count)]
    return [
        (
            round(first[0] + (last[0] - first[0]) * share),
            round(first[1] + (last[1] - first[1]) * share),
            round(first[2] + (last[2] - first[2]) * share),
        )
        for share in steps
    ]


GREYS = _between(BLACK, WHITE, LEVELS)
SIGNED = [*_between(ORANGE, WHITE, LEVELS // 2 + 1), *_between(WHITE, BLUE, LEVELS // 2 + 1)[1:]]


def levels(values: Tensor, peak: float) -> tuple[Tensor, bool]:
    """The entries of a palette for numbers, and whether some are below 0: then white is 0, else black."""
    signed = bool((values < 0).any())
    share = values / (peak or 1.0)
    scaled = (share + 1) / 2 if signed else share
    found = (scaled.nan_to_num() * (LEVELS - 1)).round().clamp(0, LEVELS - 1).to(torch.uint8)
    found[~values.isfinite()] = NONE
    return found, signed


def png(entries: Tensor, signed: bool) -> str:
    """The data URI of a picture. entries: (height, width), uint8."""
    colours = SIGNED if signed else GREYS
    palette = bytes(part for colour in [*colours, *[GREEN] * (256 - LEVELS)] for part in colour)
    height, width = entries.shape
    rows = b"".join(b"\0" + bytes(row) for row in entries.tolist())
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette),
        (b"tRNS", b"\xff" * GAP + b"\0"),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
