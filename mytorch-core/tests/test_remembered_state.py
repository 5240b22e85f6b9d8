"""States that are written out only where numbers were drawn."""

import random
from collections.abc import Callable
from typing import Any

import numpy.random
import pytest

from mytorch.core import random_state, remembered_state
from mytorch.core.remembered_state import numpy_state, python_state


@pytest.fixture(autouse=True)
def _restored():
    bits = numpy.random.get_bit_generator()
    with random_state():
        yield
        numpy.random.set_bit_generator(bits)


PYTHON: dict[str, Callable[[], Any]] = {
    "a number": random.random,
    "a normal number": lambda: random.gauss(0, 1),
    "the second of two": lambda: random.gauss(0, 1),
    "bits": lambda: random.getrandbits(3),
    "an order": lambda: random.shuffle([1, 2, 3]),
    "a seed": lambda: random.seed(3),
    "the same seed": lambda: random.seed(3),
}
NUMPY: dict[str, Callable[[], Any]] = {
    "a number": numpy.random.rand,
    "a normal number": numpy.random.standard_normal,
    "the second of two": numpy.random.standard_normal,
    "an order": lambda: numpy.random.permutation(3),
    "a seed": lambda: numpy.random.seed(3),
    "another generator": lambda: numpy.random.set_bit_generator(numpy.random.MT19937(1)),
    "a number of it": numpy.random.rand,
    "one of another kind": lambda: numpy.random.set_bit_generator(numpy.random.PCG64(1)),
    "a number of that": numpy.random.rand,
    "the first kind": lambda: numpy.random.set_bit_generator(numpy.random.MT19937(1)),
}


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return repr(found) == repr(expected) and str(found["state"]) == str(expected["state"])


def test_pythons_state_is_that_of_now() -> None:
    assert python_state() == random.getstate()
    for draw in PYTHON.values():
        draw()
        assert python_state() == random.getstate()


def test_numpys_state_is_that_of_now() -> None:
    with numpy.printoptions(threshold=10_000):
        assert same(numpy_state(numpy.random), numpy.random.get_state(legacy=False))
        for draw in NUMPY.values():
            draw()
            assert same(numpy_state(numpy.random), numpy.random.get_state(legacy=False))


def test_a_normal_number_that_waits_again_is_seen_although_the_generator_stands_where_it_stood() -> None:
    numpy.random.standard_normal()
    waiting = numpy.random.get_state(legacy=False)
    expected = numpy.random.standard_normal()
    random_state()
    numpy.random.set_state(waiting)
    state = random_state()
    numpy.random.standard_normal(5)
    state.restore()
    assert numpy.random.standard_normal() == expected


def test_a_state_is_not_written_out_again_where_nothing_was_drawn() -> None:
    assert python_state() is python_state()
    assert numpy_state(numpy.random) is numpy_state(numpy.random)
    before = numpy_state(numpy.random)
    numpy.random.rand()
    assert numpy_state(numpy.random) is not before


def test_where_memory_does_not_show_what_was_drawn_states_are_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered_state, "_memory", lambda held: b"")
    for known in (remembered_state._shows_python, remembered_state._shows_numpy):
        known.cache_clear()
    try:
        for draw in (random.random, numpy.random.rand):
            state = random_state()
            first = draw()
            assert state.drawn()
            state.restore()
            assert draw() == first
    finally:
        for known in (remembered_state._shows_python, remembered_state._shows_numpy):
            known.cache_clear()
