"""Backward passes that add to no gradient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mytorch.core import Parameter


@contextmanager
def fixed(parameters: Iterable[Parameter]) -> Iterator[None]:
    """Within this context, no backward adds to the gradients of these parameters."""
    trained = [held for held in parameters if held.trainable]
    try:
        for held in trained:
            held.trainable = False
        yield
    finally:
        for held in trained:
            held.trainable = True
