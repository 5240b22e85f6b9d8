"""Backward passes that add to no gradient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mytorch.core import Module


@contextmanager
def fixed(net: Module) -> Iterator[None]:
    """Within this context, no backward adds to a gradient."""
    trained = [held for held in net.param() if held.trainable]
    try:
        for held in trained:
            held.trainable = False
        yield
    finally:
        for held in trained:
            held.trainable = True
