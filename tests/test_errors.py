"""docs/errors.md shows every error and warning of every distribution, where it stands in the tree, and what to do."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import mytorch
from mytorch.plugins import MytorchError, MytorchWarning

PAGE = (Path(__file__).parents[1] / "docs/errors.md").read_text()
ITEM = re.compile(r"(?m)^( *)- `(\w+)` \(`(\w+)`\), from `([\w.]+)`: (.+(?:\n +[^- ].*)*)$")


def all_of(base):
    """A class and those that derive from it, as far as the project's own modules define them."""
    for module in pkgutil.walk_packages(mytorch.__path__, "mytorch."):
        importlib.import_module(module.name)
    found, seen = [base], []
    while found:
        one = found.pop()
        found += one.__subclasses__()
        seen += [one] if one.__module__.startswith("mytorch.") else []
    return dict.fromkeys(seen)


def shown():
    """Name, builtin, package and parent of each line of the page's trees, and its text."""
    above = []
    for spaces, name, builtin, package, text in ITEM.findall(PAGE):
        del above[len(spaces) // 2 :]
        yield name, builtin, package, above[-1] if above else None, text
        above.append(name)


@pytest.mark.parametrize("base", [MytorchError, MytorchWarning])
def test_the_page_shows_the_whole_tree(base):
    rows = {name: (builtin, package, parent) for name, builtin, package, parent, _ in shown()}
    for error in all_of(base):
        assert error.__name__ in rows, f"docs/errors.md must show {error.__name__} of {error.__module__}"
        builtin, package, parent = rows[error.__name__]
        assert getattr(importlib.import_module(package), error.__name__) is error
        assert builtin == next(one.__name__ for one in error.__mro__ if one.__module__ == "builtins")
        assert parent == next((one.__name__ for one in error.__bases__ if issubclass(one, base)), None)


def test_the_page_shows_nothing_else_and_says_something_of_each():
    names = [name for name, *_ in shown()]
    expected = {error.__name__ for base in (MytorchError, MytorchWarning) for error in all_of(base)}
    assert set(names) == expected
    assert len(names) == len(set(names))
    assert all(len(text.split()) > 4 for *_, text in shown())


@pytest.mark.parametrize("error", [error for error in all_of(MytorchError) if error is not MytorchError], ids=str)
def test_every_error_derives_from_the_builtin_that_fits(error):
    builtin = next(one for one in error.__mro__ if one.__module__ == "builtins")
    assert builtin is not Exception, f"{error.__name__} must derive from a builtin such as ValueError"
