"""Commands of other distributions: listed without their code, loaded when used, harmless when bad."""

import json

import pytest


@pytest.fixture
def bad_ones(site):
    """One good command and every way of being bad."""
    site.command("greet", 'click.echo("hello")')
    site.module("broken", 'import no_such_module\ndef broken():\n    """Look fine."""\n')
    site.distribution("acme-broken", commands={"broken": "broken:broken"})
    site.module("leaver", "raise SystemExit(3)")
    site.distribution("acme-leaver", commands={"leaver": "leaver:leaver"})
    site.module("wrong", 'def wrong():\n    """Be a mere function."""\n')
    site.distribution("acme-wrong", commands={"wrong": "wrong:wrong"})
    site.distribution("acme-gone", commands={"gone": "no_such_file:gone"})
    site.module("odd", "def odd(:\n")
    site.distribution("acme-odd", commands={"odd": "odd:odd"})
    site.distribution("acme-one", commands={"twice": "greet:greet", "plugins": "greet:greet"})
    site.distribution("acme-two", commands={"twice": "greet:greet"})
    site.distribution("acme-future", requires="mytorch-core>=7", commands={"future": "acme_greet:greet"})


@pytest.mark.usefixtures("bad_ones")
class TestListing:
    def test_help_names_every_command_and_imports_none(self, mytorch, site):
        result = mytorch("--help")
        assert result.returncode == 0, result.stderr
        commands = dict(line.split(maxsplit=1) for line in result.stdout.partition("Commands:\n")[2].splitlines())
        assert commands["greet"] == "Do greet, nicely."
        assert commands["broken"] == "Look fine."
        assert commands["gone"] == "(a command of acme-gone)"
        assert commands["odd"] == "(a command of acme-odd)"
        assert {"acme-one:twice", "acme-two:twice", "acme-one:plugins", "plugins", "leaver"} <= set(commands)
        assert "twice" not in commands
        assert site.imported == []

    def test_plugins_list_works_and_imports_none(self, mytorch, site):
        result = mytorch("plugins", "list", "command", "--json")
        assert result.returncode == 0, result.stderr
        assert {"greet", "broken", "leaver", "twice"} <= {part["name"] for part in json.loads(result.stdout)}
        assert site.imported == []

    def test_what_metadata_tells_is_reported_with_the_remedy(self, mytorch):
        warnings = mytorch("plugins", "list").stderr.splitlines()
        assert warnings == [
            "Warning: command 'future' of acme-future 1.5 needs mytorch-core >=7, 0.1.0 is installed. "
            "Upgrade or remove it: python -m pip uninstall acme-future",
            "Warning: command 'plugins' is offered by several distributions; the name means 'mytorch-cli:plugins'; "
            "write 'acme-one:plugins' or 'mytorch-cli:plugins'",
            "Warning: command 'twice' is offered by several distributions; "
            "write 'acme-one:twice' or 'acme-two:twice', or choose one for good: "
            "mytorch plugins prefer acme-one:twice",
        ]

    def test_strict_makes_the_report_a_failure(self, mytorch):
        result = mytorch("plugins", "list", MYTORCH_STRICT_PLUGINS="1")
        assert result.returncode == 1
        assert result.stderr.startswith("Error: command 'future' of acme-future 1.5 needs mytorch-core >=7")

    def test_a_good_command_works_beside_bad_ones(self, mytorch, site):
        result = mytorch("greet")
        assert (result.returncode, result.stdout) == (0, "hello\n")
        assert site.imported == ["acme_greet"]

    @pytest.mark.parametrize(
        ("command", "reason"),
        [
            (
                "broken",
                "cannot be imported from broken:broken (ModuleNotFoundError: No module named 'no_such_module')",
            ),
            ("leaver", "cannot be imported from leaver:leaver (SystemExit: 3)"),
            ("gone", "cannot be imported from no_such_file:gone (ModuleNotFoundError"),
            ("odd", "cannot be imported from odd:odd (SyntaxError"),
            ("wrong", "must be a click command, got a function at wrong:wrong"),
            ("future", "needs mytorch-core >=7, 0.1.0 is installed"),
        ],
    )
    def test_a_bad_command_is_named_with_distribution_and_remedy(self, mytorch, command, reason):
        result = mytorch(command)
        assert result.returncode == 1
        assert result.stderr.startswith(f"Error: command '{command}' of acme-{command} 1.5 ")
        assert reason in result.stderr
        assert f"remove it: python -m pip uninstall acme-{command}\n" in result.stderr
        assert "Traceback" not in result.stderr
        assert result.stdout == ""

    def test_a_name_of_two_distributions_needs_the_long_form(self, mytorch):
        result = mytorch("twice")
        assert result.returncode == 1
        expected = (
            "Error: command: 'twice' is offered by several distributions; "
            "write 'acme-one:twice' or 'acme-two:twice', or choose one for good: mytorch plugins prefer acme-one:twice"
        )
        assert result.stderr.strip() == expected


def test_the_long_form_runs_the_command(mytorch, site):
    site.command("greet", 'click.echo("hello")')
    assert mytorch("acme-greet:greet").stdout == "hello\n"


def test_a_command_gets_its_arguments_and_help(mytorch, site):
    site.module(
        "acme_add",
        'import click\n@click.command()\n@click.argument("n", type=int, nargs=-1)\n'
        'def add(n):\n    """Add numbers."""\n    click.echo(sum(n))\n',
    )
    site.distribution("acme-add", commands={"add": "acme_add:add"})
    assert mytorch("add", "2", "3").stdout == "5\n"
    assert mytorch("add", "--help").stdout.startswith("Usage: mytorch add [OPTIONS] [N]...")
    wrong = mytorch("add", "x")
    assert wrong.returncode == 2
    assert "Usage: mytorch add" in wrong.stderr


def test_an_unknown_command_gets_the_nearest_names(mytorch, site):
    site.command("greet", "pass")
    result = mytorch("gret")
    assert result.returncode == 2
    assert "Error: No such command 'gret'. Nearest: greet." in result.stderr


def test_a_command_of_an_absent_distribution_comes_with_its_installation(monkeypatch):
    from mytorch.cli import installed_commands
    from mytorch.plugins import Catalogue, install_command
    from mytorch.plugins.kinds import COME_WITH

    monkeypatch.setattr(installed_commands, "catalogue", lambda: Catalogue([]))
    told = installed_commands.unknown("train", ["plugins"])
    assert told.startswith("No such command 'train'. Known: plugins. Commands of this project come with mytorch-")
    assert told.endswith(f": {install_command(*COME_WITH['command'])}")
