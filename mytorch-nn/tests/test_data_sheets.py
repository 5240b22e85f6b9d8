"""The docstring of every public class is a complete data sheet."""

import inspect
import re

import pytest

from mytorch import nn
from mytorch.core import Module

CLASSES = [value for name in nn.__all__ if inspect.isclass(value := getattr(nn, name))]
HEADINGS = ("Forward", "Backward", "Shapes", "Raises", "Source", "Example")
OF_HOLDERS = ("Raises", "Source", "Example")
"""Of a class that only holds modules and has no forward."""
NAMED = re.compile(r'\w.* \d{4}, "[^"]+"|\b(?:torch|operator)\.\w+|^as [A-Z]\w+')
"""What a Source names: a paper or book with its year and title, a definition, or the sheet that says it."""


def rows_of(sheet: str) -> dict[str, str]:
    """The rows of a data sheet by their headings."""
    _, *pieces = re.split(r"(?m)^([A-Z][a-z]+):", sheet)
    return {heading: " ".join(text.split()) for heading, text in zip(pieces[::2], pieces[1::2], strict=True)}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_class_has_a_complete_data_sheet(cls):
    rows = rows_of(inspect.getdoc(cls) or "")
    wanted = OF_HOLDERS if cls.forward is Module.forward else HEADINGS
    assert [heading for heading in wanted if not rows.get(heading)] == []
    assert NAMED.search(rows["Source"]), rows["Source"]
    assert re.search(r"[A-Z]\w+Error|^as [A-Z]\w+", rows["Raises"]), rows["Raises"]


def test_a_missing_and_an_empty_row_are_found():
    assert rows_of("A layer.\n\nForward:   y = x\n           for all x\nRaises:\nSource:    Doe 2000") == {
        "Forward": "y = x for all x",
        "Raises": "",
        "Source": "Doe 2000",
    }
