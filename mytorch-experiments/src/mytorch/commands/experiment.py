"""`mytorch experiment`: write, check and show experiment files."""

from __future__ import annotations

from pathlib import Path

import click

from mytorch.commands.train import complete_experiment, overrides_option
from mytorch.plugins import parse_setting


@click.group()
def experiment() -> None:
    """Write, check and show experiment files.

    \b
    Example:
      mytorch experiment new iris.csv --target species
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
    from mytorch.experiments.file.load_experiment import find_experiment, read_text

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
    from mytorch.experiments.training.check_experiment import check_experiment

    click.echo(check_experiment(name, dict(map(parse_setting, settings))))


_FILE = click.Path(dir_okay=False, path_type=Path)


@experiment.command(short_help="Look at a table and write an experiment for it.")
@click.argument("table", type=_FILE)
@click.option("--target", help="The column to be predicted.  [default: a column named target, class, label or y]")
@click.option("--output", "-o", type=_FILE, help="The experiment file to write.  [default: the table's name, .toml]")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="Whether the target is classes or numbers.  [default: as its values look]",
)
@click.option("--delimiter", help="What stands between the cells of a line.  [default: ,]")
@click.option("--decimal", help="The decimal sign of numbers.  [default: .]")
@click.option("--encoding", help="The encoding of the text.  [default: utf-8]")
def new(
    table: Path,
    target: str | None,
    output: Path | None,
    force: bool,
    task: str | None,
    **reading: str | None,
) -> None:
    """Look at a table and write an experiment that learns one of its columns.

    TABLE is a CSV, TSV, Parquet or NPZ file. The experiment runs as it is; comments in it say why each value was
    chosen. Columns of dates, and text that is another in nearly every row, are left out.

    \b
    Example:
      mytorch experiment new iris.csv --target species
      mytorch experiment new prices.csv --target price --delimiter ";" --decimal , --output prices-1.toml
    """
    from mytorch.experiments.new.new_experiment import found, new_experiment

    given = {name: value for name, value in reading.items() if value is not None}
    look, path = new_experiment(table, target, output, force=force, task=task, reading=given)
    click.echo("\n".join([*found(look), f"Wrote {path}", f"Next: mytorch train {path}"]))
