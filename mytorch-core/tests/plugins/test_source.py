"""Help texts read from the source, without an import."""

import sys
from pathlib import Path

import pytest

from mytorch.plugins import find_source, first_docstring_line
from mytorch.plugins.source import definition

SOURCE = '''
"""The module."""
raise RuntimeError("imported")

def command():
    """Does it.

    And more.
    """

class Kind:
    """Is one."""

def silent():
    pass
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "acme_source" / "inner"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "commands.py").write_text(SOURCE)  # `inner` is a namespace
    (folder / "wrong.py").write_text("def (")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_finds_a_module_without_importing_it_or_its_parents(package: Path) -> None:
    assert find_source("acme_source.inner.commands") == package / "commands.py"
    assert find_source("acme_source") == package.parent / "__init__.py"
    assert not any(name.startswith("acme_source") for name in sys.modules)


@pytest.mark.parametrize(
    "module", ["acme_source.absent", "acme_nowhere", "acme_source.inner", "sys", "json.decoder.x"]
)
def test_none_for_what_has_no_source(package: Path, module: str) -> None:
    assert find_source(module) is None


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("commands:command", "Does it."),
        ("commands:Kind", "Is one."),
        ("commands:silent", ""),
        ("commands:absent", ""),
        ("wrong:command", ""),
        ("absent:command", ""),
    ],
)
def test_reads_the_first_docstring_line(package: Path, target: str, line: str) -> None:
    assert first_docstring_line(f"acme_source.inner.{target}") == line
    assert not any(name.startswith("acme_source") for name in sys.modules)


def test_reads_its_own_package() -> None:
    assert first_docstring_line("mytorch.plugins.source:find_source").startswith("The file of a module")


@pytest.mark.parametrize(
    "text",
    [
        "from acme_source.inner.commands import Kind",
        "from .inner.commands import Kind",
        "from acme_source.inner.commands import Kind as Kind",
        "from .other import Kind",
    ],
)
def test_a_name_is_followed_to_where_it_is_written(package: Path, text: str) -> None:
    (package.parent / "__init__.py").write_text(text)
    (package.parent / "other.py").write_text("from .inner.commands import Kind")
    assert definition("acme_source:Kind") == "acme_source.inner.commands:Kind"
    assert first_docstring_line("acme_source:Kind") == "Is one."
    (package / "up.py").write_text("from ..inner import commands\nfrom .commands import command as go")
    assert definition("acme_source.inner.up:commands") == "acme_source.inner:commands"
    assert first_docstring_line("acme_source.inner.up:go") == "Does it."
    assert not any(name.startswith("acme_source") for name in sys.modules)


def test_names_that_two_modules_import_from_each_other_end_somewhere(package: Path) -> None:
    (package / "one.py").write_text("from .two import Kind")
    (package / "two.py").write_text("from .one import Kind")
    assert definition("acme_source.inner.one:Kind").endswith(":Kind")
    assert first_docstring_line("acme_source.inner.one:Kind") == ""
