"""What is packed into a body may not be much larger than bodies are."""

from __future__ import annotations

import io
import zipfile

from mytorch.experiments.serve.refusal import Refusal


def require_unpacked(body: bytes, most: int) -> None:
    """Raise Refusal for an NPZ file whose arrays have more bytes than this; what reads it refuses what is damaged.

    zipfile gives no more bytes of an array than the file says that it has, so that it cannot say less.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            size = sum(member.file_size for member in packed.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError):
        return
    if size > most:
        raise Refusal(
            413, f"request: arrays must have at most {most} bytes, got {size}; send the rows in several requests"
        )
