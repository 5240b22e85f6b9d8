"""`mytorch experiment`: write, check and show experiment files."""

from __future__ import annotations

import click

from mytorch.commands.train import complete_experiment, overrides_option
from mytorch.plugins import parse_setting


@click.group()
def experiment() -> None:
    """Write, check and show experiment files.

    \b
    Example:
      mytorch experiment show disk
      mytorch experiment check my-experiment.toml
    """


@experiment.command()
@click.argument("name", shell_complete=complete_experiment)
def show(name: str) -> None:
    """Print the file of an experiment as it is.

    NAME is the name of an installed experiment, or a TOML file. To make your own out of it: `> my-experiment.toml`.

    \b
    Example:
      mytorch experiment show disk
      mytorch experiment show disk > my-disk.toml
    """
    from mytorch.train.load_experiment import find_experiment, read_text

    click.echo(read_text(find_experiment(name)), nl=False)


@experiment.command()
@click.argument("name", metavar="EXPERIMENT", shell_complete=complete_experiment)
@overrides_option
def check(name: str, settings: tuple[str, ...]) -> None:
    """Say what is wrong with an experiment, without training it.

    EXPERIMENT is a TOML file or the name of an installed experiment. Its data are read, every part is built and one
    small batch goes through a step, the metrics and the test. Nothing is written. The exit status is 1 if anything is
    wrong.

    \b
    Example:
      mytorch experiment check my-experiment.toml
      mytorch experiment check disk --set batch_size=50
    """
    from mytorch.train.check_experiment import check_experiment

    click.echo(check_experiment(name, dict(map(parse_setting, settings))))
