"""Random generators of NumPy and Python that layers hold, seen as torch's."""

from __future__ import annotations

import random
import sys
from typing import Any

import torch

from mytorch.core.tree import Node


class OfNumpy:
    """The bit generator of a `numpy.random.Generator` or `numpy.random.RandomState`."""

    def __init__(self, bits: Any) -> None:
        self.bits = bits

    def get_state(self) -> Any:
        """A dict of whole numbers and arrays."""
        return self.bits.state

    def set_state(self, state: Any) -> None:
        """Put such a dict in place, or one with lists for arrays."""
        self.bits.state = state

    def manual_seed(self, seed: int) -> None:
        """Begin anew by a seed."""
        self.bits.state = type(self.bits)(seed).state

    def fresh(self) -> OfNumpy:
        """Another one of its kind."""
        return OfNumpy(type(self.bits)())


class OfNumpyLegacy(OfNumpy):
    """A `numpy.random.RandomState`, whose normal numbers are drawn two at a time."""

    def get_state(self) -> Any:
        """A dict of whole numbers and arrays."""
        return self.bits.get_state(legacy=False)

    def set_state(self, state: Any) -> None:
        """Put such a dict in place, or one with lists for arrays."""
        self.bits.set_state(state)

    def manual_seed(self, seed: int) -> None:
        """Begin anew by a seed."""
        self.bits.seed(seed % 2**32)

    def fresh(self) -> OfNumpy:
        """Another one of its kind."""
        kind = sys.modules["numpy.random"]
        return OfNumpyLegacy(kind.RandomState(getattr(kind, self.get_state()["bit_generator"])()))


class OfPython:
    """A `random.Random`."""

    def __init__(self, own: random.Random) -> None:
        self.own = own

    def get_state(self) -> Any:
        """A tuple of version, numbers, and the second of two normal numbers."""
        return self.own.getstate()

    def set_state(self, state: Any) -> None:
        """Put such a tuple in place, or one with lists for tuples."""
        version, numbers, gauss = state
        self.own.setstate((version, tuple(numbers), gauss))

    def manual_seed(self, seed: int) -> None:
        """Begin anew by a seed."""
        self.own.seed(seed)

    def fresh(self) -> OfPython:
        """Another one of its kind."""
        return OfPython(random.Random())


Generator = torch.Generator | OfNumpy | OfPython
"""What has a random state: a torch.Generator, or what stands for another one."""


def held_generators(owner: Node) -> list[tuple[str, Any, Generator]]:
    """The generators in the attributes of this very module: name, the object itself, and what has its state."""
    found: list[tuple[str, Any, Generator]] = []
    numpy = sys.modules.get("numpy.random")
    for name, value in vars(owner).items():
        if isinstance(value, torch.Generator):
            found.append((name, value, value))
        elif isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
            found.append((name, value, OfPython(value)))
        elif numpy is not None and isinstance(value, numpy.Generator):
            found.append((name, value.bit_generator, OfNumpy(value.bit_generator)))
        elif numpy is not None and isinstance(value, numpy.RandomState):
            found.append((name, value, OfNumpyLegacy(value)))
    return found
