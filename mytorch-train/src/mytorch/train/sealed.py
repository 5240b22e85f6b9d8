"""A safetensors file that carries the SHA-256 of itself, so that a changed byte is an error when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mytorch.plugins import whole_file
from mytorch.train.errors import RunError

SHA256 = "sha256"
"""The name of the text that is the digest: of the whole file, with 64 zeros in the digest's place."""
_KEY = "mytorch"  # of the metadata: all texts as JSON, since safetensors writes several keys in any order
_BLANK = "0" * 64
_LONGEST_HEADER = 100_000_000  # as safetensors has it
_ROOM = 4 * 2**20  # bytes, of which safetensors takes 1 MiB for its buffer


def write_sealed(path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Write tensors and texts. The file is whole at every moment, also if the power fails.

    Raises FileError, and MemoryError where the system gives no memory for it.
    """
    with whole_file(path) as beside:
        bytearray(_ROOM)  # safetensors ends the process where memory is refused, so ask for some before it does
        try:
            save_file(dict(tensors), beside, {_KEY: json.dumps({**texts, SHA256: _BLANK})})
        except SafetensorError as error:  # a full disk, among others
            raise OSError(str(error)) from error
        with beside.open("r+b") as file:
            place, _ = _find(file)
            assert place is not None  # since it was just written
            digest = _digest(file, place)
            file.seek(place)
            file.write(digest)


def read_sealed(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and texts of a file. Raises RunError for one that is missing, damaged or changed.

    A file without a digest, which something else wrote, is taken as it is.
    """
    try:
        with path.open("rb") as file:
            place, texts = _find(file)
            if place is not None and _digest(file, place) != texts[SHA256].encode():
                raise RunError(
                    f"{path}: must have the content that was written, got different content; it is damaged or was "
                    "changed"
                )
        return load_file(path), texts
    except FileNotFoundError:
        raise RunError(f"{path}: this file is missing; a run folder has one as soon as training has begun") from None
    except RunError:
        raise
    except (OSError, ValueError, AttributeError, TypeError, SafetensorError) as error:
        raise RunError(f"{path}: must be a whole safetensors file, got {error}") from error


def read_texts(path: Path) -> dict[str, str]:
    """The texts of a file alone, without a look at the tensors; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            return _find(file)[1]
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _find(file: BinaryIO) -> tuple[int | None, dict[str, str]]:
    """Where the digest stands in a file, if it has one, and the texts. Raises ValueError for no safetensors file."""
    begun = file.read(8)
    size = int.from_bytes(begun, "little")
    if size > _LONGEST_HEADER:
        raise ValueError("a header that is too long")
    header = file.read(size)
    if len(begun) < 8 or len(header) < size:
        raise ValueError("one that is cut off")
    parsed = json.loads(header)
    metadata = parsed.get("__metadata__", {}) if isinstance(parsed, dict) else {}
    texts = json.loads(metadata.get(_KEY, "{}"))
    digest = texts.get(SHA256)
    if not isinstance(digest, str) or len(digest) != len(_BLANK):
        return None, dict(texts)
    before = rf"\"{SHA256}\": \"".encode()
    place = header.rfind(before + digest.encode())
    return (None if place < 0 else 8 + place + len(before)), texts


def _digest(file: BinaryIO, place: int) -> bytes:
    """The digest of a file, with zeros in its own place."""
    found = hashlib.sha256()
    file.seek(0)
    found.update(file.read(place))
    found.update(_BLANK.encode())
    file.seek(place + len(_BLANK))
    while block := file.read(2**20):
        found.update(block)
    return found.hexdigest().encode()
