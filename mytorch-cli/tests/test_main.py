"""`python -m mytorch` is the command `mytorch`."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def by_module(site):
    """Runs `python -m mytorch ARGUMENTS` as the fixture `mytorch` runs the command."""

    def run(*arguments, **environment):
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MYTORCH", "_MYTORCH"))}
        added = {"PYTHONPATH": str(site.folder), "IMPORTED": str(site.folder / "imported.log"), "COLUMNS": "120"}
        return subprocess.run(
            [sys.executable, "-m", "mytorch", *arguments],
            env={**inherited, **added, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    "arguments",
    ["--help", "--version", "plugins list", "plugins list layers", "nothing", "fail", "five"],
)
def test_output_and_status_are_the_commands(mytorch, by_module, site, arguments):
    site.command("fail", 'raise ValueError("oh")')
    site.command("five", "click.get_current_context().exit(5)")
    expected, got = mytorch(*arguments.split()), by_module(*arguments.split())
    assert (got.returncode, got.stdout, got.stderr) == (expected.returncode, expected.stdout, expected.stderr)


def test_it_is_called_mytorch(by_module):
    assert by_module("--help").stdout.startswith("Usage: mytorch ")
    assert by_module("plugins", "list", "layers").stderr.startswith("Usage: mytorch plugins list ")


def test_debug_and_ctrl_c(by_module, site):
    site.command("fail", 'raise ValueError("oh")')
    site.command("wait", "raise KeyboardInterrupt")
    assert "Traceback" in by_module("fail", "--debug").stderr
    assert by_module("wait").returncode == 130
