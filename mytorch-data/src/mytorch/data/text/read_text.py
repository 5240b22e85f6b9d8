"""Reading a file of text, or of any bytes."""

from __future__ import annotations

import codecs
from pathlib import Path

from mytorch.core import ArgumentError
from mytorch.data.table.errors import TableError, shown, told
from mytorch.data.table.open_table import require_file
from mytorch.plugins import FileError, nearest, require_memory

MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""Bytes at the beginning of a file that say how it is encoded."""
KNOWN = ("utf-8", "utf-16", "latin-1", "cp1252", "ascii")
BYTES = 16
"""Bytes of memory that each byte of a file takes while it is read."""


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, at least one. Raises FileError for no file, TableError for an empty one."""
    require_file(path)
    try:
        require_memory(str(path), "the text", BYTES * path.stat().st_size, "divide it into several files")
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: must be readable, got {error.strerror or error}") from error
    if not content:
        raise TableError(f"{path}: must hold text, got an empty file")
    return content


def read_text(path: Path, encoding: str) -> str:
    r"""The text of a file, in which every line ends with \n.

    Raises TableError for bytes that are no text of the encoding, with the option that reads them.
    """
    _require_encoding(encoding)
    content = read_bytes(path)
    if codecs.lookup(encoding).name == "utf-8" and content.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        raise TableError(f"{path}: must be text in {encoding}, got {_bytes_of(error)}; {_advice(content)}") from None
    if "\0" in text:
        raise TableError(f"{path}: must be text in {encoding}, got zeros as in a binary file; {_advice(content)}")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text:
        raise TableError(f"{path}: must hold text, got an empty file")
    return text


def _bytes_of(error: UnicodeError) -> str:
    """What could not be decoded, and where."""
    if isinstance(error, UnicodeDecodeError):
        return f"the byte 0x{error.object[error.start]:02x} at {error.start}, which means nothing there"
    return told(error)


def _advice(content: bytes) -> str:
    """How such bytes can be read."""
    marked = next((name for mark, name in MARKS.items() if content.startswith(mark)), None)
    if marked is None and b"\0" in content:
        odd, even = content[1::2].count(0), content[::2].count(0)
        few, many = sorted((odd, even))
        if many > len(content) / 8 and few < many / 8:  # every other byte of letters in UTF-16
            marked = "utf-16-le" if odd > even else "utf-16-be"
    if marked is not None:
        return f'its bytes are those of encoding = "{marked}"'
    if b"\0" in content:
        return 'if it is no text, tokens = "bytes" takes any file'
    return (
        'if it is text, name its encoding, such as encoding = "cp1252" or "latin-1"; tokens = "bytes" takes any file'
    )


def _require_encoding(encoding: str) -> None:
    try:
        if not isinstance(encoding, str) or not isinstance("a".encode(encoding).decode(encoding), str):
            raise LookupError
    except (LookupError, UnicodeError, ValueError):
        raise ArgumentError(
            f"TextFile: encoding must be one that Python knows, such as {', '.join(KNOWN)}, got {shown(encoding)}. "
            f"{nearest(str(encoding), KNOWN)}".strip()
        ) from None
