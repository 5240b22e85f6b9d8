"""What a server takes at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one process of a server takes at most.

    body: bytes of a request.  seconds: from the first byte of a request to its answer.
    unpacked: times the bytes of a request, those of the arrays in an NPZ file, which can be compressed.
    waiting: requests at once, those that are computed included; so the memory of bodies is at most waiting * body.
    gather: seconds for which a request waits for others, to go through the model with them; 0 computes each alone.
    """

    body: int = 8 * 2**20
    seconds: float = 30.0
    waiting: int = 128
    gather: float = 0.002
    unpacked: int = 8
