"""A command line in its own process, with distributions that exist in a temporary folder only."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

HEAD = """
import os, pathlib
with pathlib.Path(os.environ["IMPORTED"]).open("a") as log:
    log.write(__name__ + "\\n")
"""


class Site:
    """A folder on the module path of the commands that a test runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def distribution(self, name: str, requires: str = "mytorch-core>=0.1,<0.2", **groups: dict[str, str]) -> None:
        """Pretend that a distribution is installed; `groups` are entry points such as commands={"go": "a:go"}."""
        info = self.folder / f"{name.replace('-', '_')}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\nRequires-Dist: {requires}\n"
        )
        lines = []
        for group, entries in groups.items():
            lines += [f"[mytorch.{group}]", *(f"{key} = {target}" for key, target in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")

    def module(self, name: str, text: str) -> None:
        """Write a module that notes down when it is imported."""
        (self.folder / f"{name}.py").write_text(HEAD + text)

    def command(self, name: str, body: str) -> None:
        """A distribution "acme-NAME" with one command whose function has this body."""
        indented = "\n".join(f"    {line}" for line in body.splitlines())
        self.module(
            f"acme_{name}",
            f'import click\n@click.command()\ndef {name}():\n    """Do {name}, nicely."""\n{indented}\n',
        )
        self.distribution(f"acme-{name}", commands={name: f"acme_{name}:{name}"})

    @property
    def imported(self) -> list[str]:
        """The modules of this folder that were imported, in order."""
        log = self.folder / "imported.log"
        return log.read_text().split() if log.exists() else []


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def mytorch(site: Site) -> Run:
    """Runs `mytorch ARGUMENTS` and gives its status and output."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MYTORCH", "_MYTORCH"))}
        return subprocess.run(
            [sys.executable, "-c", "from mytorch.cli import main; main()", *arguments],
            env={
                **inherited,
                "PYTHONPATH": str(site.folder),
                "PYTHONDONTWRITEBYTECODE": "1",
                "IMPORTED": str(site.folder / "imported.log"),
                "COLUMNS": "120",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
