"""`mytorch --version`: what a bug report needs to say, from metadata alone."""

import platform
from importlib.metadata import PackageNotFoundError, version

import click

from mytorch.plugins import OWN


def print_versions(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the installed version of each distribution and leave."""
    if not wanted or context.resilient_parsing:
        return
    click.echo(f"mytorch {version('mytorch-cli')}")
    for name in [*sorted(OWN), "torch"]:
        try:
            click.echo(f"  {name} {version(name)}")
        except PackageNotFoundError:
            continue
    click.echo(f"  python {platform.python_version()}")
    context.exit()
