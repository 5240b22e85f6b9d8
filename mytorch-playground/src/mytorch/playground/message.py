"""Messages to the page: a header in JSON, and tensors behind it as they lie in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.train.drawing import plain

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
