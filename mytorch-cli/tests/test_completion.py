"""Completion: click's protocol, and bash itself where it is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = Path(sys.executable).parent


def complete(mytorch, shell, *words):
    """What `shell` is offered for the last of these words."""
    line, index = " ".join(words), str(len(words) - 1)
    result = mytorch(_MYTORCH_COMPLETE=f"{shell}_complete", COMP_WORDS=line, COMP_CWORD=index)
    assert result.stderr == ""
    return result.stdout.split()


def test_bash_is_offered_commands_without_importing_them(mytorch, site):
    site.command("greet", "pass")
    site.module("broken", "raise SystemExit(3)")
    site.distribution("acme-broken", commands={"broken": "broken:broken"})
    offered = complete(mytorch, "bash", "mytorch", "")
    assert {"plain,broken", "plain,greet", "plain,plugins", "plain,completion"} <= set(offered)
    assert complete(mytorch, "bash", "mytorch", "gr") == ["plain,greet"]
    assert site.imported == []


def test_zsh_is_offered_the_help_texts(mytorch, site):
    site.command("greet", "pass")
    assert complete(mytorch, "zsh", "mytorch", "gr") == ["plain", "greet", "Do", "greet,", "nicely."]


def test_options_and_choices_of_a_command_are_offered(mytorch, site):
    assert complete(mytorch, "bash", "mytorch", "plugins", "list", "opt") == ["plain,optimizer"]
    site.module(
        "acme_go",
        'import click\n@click.command()\n@click.option("--speed", type=click.Choice(["slow"]))\ndef go(): ...\n',
    )
    site.distribution("acme-go", commands={"go": "acme_go:go"})
    assert complete(mytorch, "bash", "mytorch", "go", "--sp") == ["plain,--speed"]
    assert complete(mytorch, "bash", "mytorch", "go", "--speed", "s") == ["plain,slow"]


def test_a_broken_command_completes_to_nothing(mytorch, site):
    site.module("broken", "raise SystemExit(3)")
    site.distribution("acme-broken", commands={"broken": "broken:broken"})
    assert complete(mytorch, "bash", "mytorch", "broken", "x") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_are_clicks_own(mytorch, shell):
    named = mytorch("completion", shell)
    assert named.returncode == 0, named.stderr
    assert "_MYTORCH_COMPLETE" in named.stdout
    assert named.stdout.strip() == mytorch(_MYTORCH_COMPLETE=f"{shell}_source").stdout.strip()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_a_line():
    script = """
eval "$(mytorch completion bash)"
COMP_WORDS=(mytorch plugins li); COMP_CWORD=2
_mytorch_completion mytorch
echo "${COMPREPLY[@]}"
complete -p mytorch
"""
    result = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout.splitlines()[0] == "list", result.stderr
    assert "-F _mytorch_completion mytorch" in result.stdout
