"""The group of the commands about plugins."""

import click

from mytorch.cli.plugins.doctor import doctor
from mytorch.cli.plugins.listing import list_parts
from mytorch.cli.plugins.new import new
from mytorch.cli.plugins.settings import block, prefer, unblock
from mytorch.cli.plugins.show import show


@click.group(commands=[list_parts, show, block, unblock, prefer, doctor, new])
def plugins() -> None:
    """Show the installed plugins, and choose which may be used.

    \b
    Example:
      mytorch plugins list layer
      mytorch plugins doctor
    """
