"""The command line's top: options of every command, and one subcommand a part of kind "command"."""

import click

from mytorch.cli.completion import completion
from mytorch.cli.installed_commands import InstalledCommands
from mytorch.cli.plugins import plugins
from mytorch.cli.versions import print_versions


@click.group(
    cls=InstalledCommands,
    commands=[completion, plugins],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_versions,
    help="Show the versions of the installed distributions.",
)
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    help="Show the traceback of an error. May follow the command, too; MYTORCH_DEBUG=1 does the same.",
)
def mytorch() -> None:
    """Deep learning with explicit gradients: train, evaluate and compare networks.

    The commands come with the installed distributions; `mytorch plugins list command` shows which.

    \b
    Example:
      mytorch train disk
    """
