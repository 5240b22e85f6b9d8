"""A fingerprint of a data set, by which a resumed run knows the rows again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mytorch.core import DataSet, fetch, random_state
from mytorch.core.batch import count_bytes

ROWS, BLOCK = 1000, 4096
"""So many rows are looked at where each is read alone, evenly spaced; and so many at once where a batch is."""
BYTES = 2**26
"""At most about so many bytes are looked at: what is larger counts by rows that are evenly spaced."""


def fingerprint(data: Any) -> str | None:
    """A digest of the number of rows and of their contents; None for no data.

    Rows that are drawn anew whenever they are read, as augmented ones are, count by their number alone.
    """
    if data is None:
        return None
    if isinstance(data, DataLoader):
        data = data.dataset
    data = getattr(data, "plain", data)
    rows = len(data)
    digest = hashlib.sha256(str(rows).encode())
    with random_state() as before:
        if rows:
            seen = _chosen(data, rows)
            for at in range(0, len(seen), BLOCK):
                batch = fetch(data, seen[at : at + BLOCK])
                if before.drawn():
                    return f"{rows} rows"
                _update(digest, batch)
    return f"{rows} rows, {digest.hexdigest()[:32]}"


def digest_of(value: Any) -> str:
    """A digest of tensors, numbers and texts, and of what holds them; other objects do not count."""
    digest = hashlib.sha256()
    _update(digest, value)
    return digest.hexdigest()[:32]


def _chosen(data: Any, rows: int) -> Tensor:
    """The rows to look at."""
    count = ROWS
    if isinstance(data, DataSet):
        size = count_bytes(fetch(data, torch.arange(1)))
        count = int(BYTES / size) if size > 0 else rows
    return torch.arange(rows) if rows <= max(count, 1) else torch.linspace(0, rows - 1, max(count, 1)).long()


def _update(digest: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        digest.update(repr((tuple(value.shape), str(value.dtype))).encode())
        plain = value.detach().cpu().resolve_conj().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().tobytes())
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            digest.update(repr(name).encode())
            _update(digest, entry)
    elif isinstance(value, (tuple, list)):
        for entry in value:
            _update(digest, entry)
    elif isinstance(value, (str, int, float, bool, type(None))):
        digest.update(repr(value).encode())
