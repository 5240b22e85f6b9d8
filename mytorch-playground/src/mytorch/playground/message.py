"""Messages to the page: a header in JSON, and tensors behind it as they lie in memory."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

ALIGNED = 8
"""Every tensor begins at a multiple of so many bytes, as the page's arrays must."""
DTYPES = {torch.uint8: "u8", torch.float32: "f32"}


def encode(kind: str, tensors: Mapping[str, Tensor] | None = None, **fields: Any) -> bytes:
    """A message: the length of the header in four bytes, little-endian, the header, and the tensors.

    The header has the kind, the fields, and of each tensor its dtype ("u8" or "f32"), its shape, and where it begins,
    counted from the end of the header, which is filled up with spaces. A number that is not finite is null.
    """
    places: dict[str, Any] = {}
    body = bytearray()
    for name, tensor in (tensors or {}).items():
        body += b"\0" * (-len(body) % ALIGNED)
        places[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "at": len(body)}
        body += tensor.contiguous().numpy().tobytes()
    header = json.dumps({"kind": kind, **plain(fields), "tensors": places}, allow_nan=False).encode()
    header += b" " * (-(4 + len(header)) % ALIGNED)
    return len(header).to_bytes(4, "little") + header + bytes(body)


def plain(value: Any) -> Any:
    """A nested value as JSON holds it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value
