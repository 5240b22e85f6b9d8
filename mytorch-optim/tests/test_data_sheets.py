"""The docstring of every optimizer and schedule is a complete data sheet."""

import inspect
import re

import pytest

from mytorch import optim
from mytorch.core import Optimizer

CLASSES = [value for name in optim.__all__ if inspect.isclass(value := getattr(optim, name))]
NAMED = re.compile(r'\w.* \d{4}, "[^"]+"|\btorch\.\w+')
"""What a Source names: a paper or book with its year and title, or a definition."""


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_class_has_a_complete_data_sheet(cls):
    _, *pieces = re.split(r"(?m)^([A-Z][a-z]+):", inspect.getdoc(cls) or "")
    rows = {heading: " ".join(text.split()) for heading, text in zip(pieces[::2], pieces[1::2], strict=True)}
    formula = "Step" if issubclass(cls, Optimizer) or "Step" in rows else "Formula"
    assert [heading for heading in (formula, "Raises", "Source", "Example") if not rows.get(heading)] == []
    assert NAMED.search(rows["Source"]), rows["Source"]
    assert re.search(r"[A-Z]\w+Error", rows["Raises"]), rows["Raises"]
