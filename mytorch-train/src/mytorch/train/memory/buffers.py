"""Changing buffers for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from mytorch.core import Buffer


@contextmanager
def other_buffers(buffers: Sequence[Buffer], values: Sequence[Tensor] | None = None) -> Iterator[None]:
    """Within this context buffers have copies of their values, or of others, which may change."""
    before = [buffer.value for buffer in buffers]
    try:
        for buffer, value in zip(buffers, before if values is None else values, strict=True):
            buffer.value = value.clone()
        yield
    finally:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.value = value
