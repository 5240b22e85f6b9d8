"""The examples in the docstrings of mytorch.plugins are what happens."""

import doctest
import importlib
import pkgutil

import pytest

from mytorch import plugins

MODULES = [f"mytorch.plugins.{found.name}" for found in pkgutil.iter_modules(plugins.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    found = [test for name in MODULES for test in doctest.DocTestFinder().find(importlib.import_module(name))]
    assert {"mytorch.plugins.callback.Callback", "mytorch.plugins.files.whole_file"} <= {
        test.name for test in found if test.examples
    }
