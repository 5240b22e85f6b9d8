"""Help texts read from the source, without an import."""

import sys
from pathlib import Path

import pytest

from mytorch.plugins import find_source, first_docstring_line

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
