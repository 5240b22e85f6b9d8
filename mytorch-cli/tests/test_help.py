"""Texts that every command owes its user."""

import click
import pytest

from mytorch.cli.root import mytorch as root
from mytorch.cli.versions import print_versions


def own_commands(command, path="mytorch"):
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from own_commands(child, f"{path} {name}")


@pytest.mark.parametrize(("path", "command"), list(own_commands(root)))
def test_every_help_has_an_example(path, command):
    text = command.get_help(click.Context(command, info_name=path))
    example = text.partition("Example:\n")[2]
    assert example.lstrip().startswith(("mytorch", "eval"))


def test_version_names_the_installed_distributions(mytorch):
    lines = mytorch("--version").stdout.splitlines()
    assert lines[0] == "mytorch 0.1.0"
    assert "  mytorch-cli 0.1.0" in lines
    assert "  mytorch-core 0.1.0" in lines
    assert any(line.startswith("  python 3.") for line in lines)


def test_version_is_silent_in_completion():
    context = click.Context(root, resilient_parsing=True)
    print_versions(context, root.params[0], True)


def test_without_arguments_the_help_is_shown(mytorch):
    result = mytorch()
    assert "Usage: mytorch" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
