"""Formulas, from the docstrings in which layers state them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

SECTIONS = {"forward": ("Wanted", "Forward"), "backward": ("Backward",), "update": ("Step",)}
"""The parts of a docstring that say what a method computes. `Wanted` is what a loss makes of its target."""


def formula_of(cls: type, method: str) -> tuple[str, ...]:
    """The lines of the formula of `method`; none if the docstring gives none.

    A class without one takes its parent's, unless it defines the method anew.
    """
    for ancestor in cls.__mro__:
        found = [line for label, line in _sections(ancestor) if label in SECTIONS[method]]
        if found or method in vars(ancestor):
            return tuple(found)
    return ()


def summary_of(cls: type) -> str:
    """The first line of the docstring of a class; empty without one."""
    return inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]


def _sections(cls: type) -> Iterator[tuple[str, str]]:
    """Every line of a docstring below a label such as `Forward:`, with the label."""
    label = ""
    for line in inspect.cleandoc(cls.__doc__ or "").splitlines():
        if begun := re.match(r"(\w[\w ]*):(?:\s+|$)", line):
            label, line = begun[1], line[begun.end() :]
        elif not line.startswith(" "):
            label = ""
        if label and line.strip():
            yield label, line.strip()
