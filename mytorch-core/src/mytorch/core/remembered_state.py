"""The states of Python's and of NumPy's global generator, written out only where numbers were drawn since.

Writing one out takes long: of NumPy 30 microseconds, as a step of a small network does, and of Python 6. To compare
the bytes of memory in which a generator is kept takes half of one.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Hashable
from ctypes import string_at
from functools import cache
from typing import Any

_last: dict[str, tuple[Hashable, Any]] = {}
"""What was seen of a generator, and its state then."""


def python_state() -> Any:
    """What `random.getstate()` returns."""
    own = getattr(random.getstate, "__self__", None)
    if type(own) is not random.Random or not _shows_python():
        return random.getstate()
    return _remembered("python", _look_at_python(own), random.getstate)


def numpy_state(numpy: Any) -> Any:
    """What `numpy.random.get_state(legacy=False)` returns; the same object again, which nobody may change.

    numpy: the module `numpy.random`.
    """
    own = getattr(numpy.get_state, "__self__", None)
    kept_in_itself = type(own) is numpy.RandomState and type(getattr(own, "_bit_generator", None)) is numpy.MT19937
    if not kept_in_itself or not _shows_numpy():
        return numpy.get_state(legacy=False)
    return _remembered("numpy", _look_at_numpy(own), lambda: numpy.get_state(legacy=False))


def _remembered(name: str, seen: Hashable, read: Callable[[], Any]) -> Any:
    last = _last.get(name)
    if last is None or last[0] != seen:
        last = _last[name] = seen, read()
    return last[1]


def _look_at_python(own: random.Random) -> Hashable:
    return own, _memory(own), own.gauss_next  # type: ignore[attr-defined]


def _look_at_numpy(own: Any) -> Hashable:
    """The second of two normal numbers is kept beside the generator that they were drawn from."""
    bits = own._bit_generator
    return own, _memory(own), bits, _memory(bits)


def _memory(held: Any) -> bytes:
    """The bytes of an object, without its head, which counts references."""
    head = object.__basicsize__
    return string_at(id(held) + head, type(held).__basicsize__ - head)


@cache
def _shows_python() -> bool:
    """Whether a look shows every draw, as long as Python keeps the numbers within the object."""
    own = random.Random(1)
    return _shows(lambda: _look_at_python(own), lambda: own.gauss(0, 1))


@cache
def _shows_numpy() -> bool:
    """The same of NumPy."""
    own = sys.modules["numpy.random"].RandomState(1)
    return _shows(lambda: _look_at_numpy(own), own.standard_normal)


def _shows(look: Callable[[], Hashable], draw: Callable[[], object]) -> bool:
    """Whether each of four draws, every second of which takes a number that was drawn with the one before, is seen."""
    if sys.implementation.name != "cpython":  # where an object's id is its place in memory
        return False
    seen = {look()}
    for _ in range(4):
        draw()
        seen.add(look())
    return len(seen) == 5
