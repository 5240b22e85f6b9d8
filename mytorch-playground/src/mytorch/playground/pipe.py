"""Messages through the pipe between the server and the process of a session: their length before each."""

from __future__ import annotations

from typing import BinaryIO

LENGTH = 4
"""Bytes of the length, little-endian."""
LONGEST = 64 * 2**20
"""Bytes of a message."""


def write(file: BinaryIO, message: bytes) -> None:
    """Write a message and let it go at once."""
    file.write(len(message).to_bytes(LENGTH, "little") + message)
    file.flush()


def read(file: BinaryIO) -> bytes | None:
    """The next message; None if there is none any more."""
    length = file.read(LENGTH)
    if len(length) < LENGTH:
        return None
    size = int.from_bytes(length, "little")
    message = file.read(size)
    return message if len(message) == size else None
