"""`mytorch experiment`: write, check and show experiment files."""

from __future__ import annotations

from pathlib import Path

import click

from mytorch.commands._shared_options import reading_of, reading_options
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

    NAME is the name of an installed experiment, or a TOML file. Write a copy of your own with `> my-experiment.toml`.

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
    """Check an experiment for mistakes, without training it.

    EXPERIMENT is a TOML file or the name of an installed experiment. Its data are read, the model and everything
    else are built, and a training step, the metrics and the evaluation run on a small batch and on the last batch of
    an epoch. Nothing is written. The output shows what would be trained, with the layers of the model. The exit status
    is 1 if there is a mistake.

    \b
    Example:
      mytorch experiment check my-experiment.toml
      mytorch experiment check disk --set batch_size=50
    """
    from mytorch.experiments.tables.model_table import model_of, show_model
    from mytorch.experiments.training.check_experiment import checked, told

    built = checked(name, dict(map(parse_setting, settings)))
    click.echo(told(built))
    show_model(model_of(built.setup))


_FILE = click.Path(dir_okay=False, path_type=Path)


@experiment.command(short_help="Write an experiment for a table.")
@click.argument("table", type=_FILE)
@click.option("--target", help="The column to predict.  [default: a column named target, class, label or y]")
@click.option("--output", "-o", type=_FILE, help="The experiment file to write.  [default: the table's name, .toml]")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="Whether the target has classes or numbers.  [default: by its values]",
)
@reading_options
@click.option("--thousands", help="The thousands separator of numbers, such as the comma in 1,000.")
@click.option(
    "--unit", multiple=True, help="A unit to remove from numbers, such as $ or %; may be given several times."
)
@click.option("--sheet", help="The sheet of an Excel file.  [default: the only one]")
@click.option(
    "--missing-marker",
    multiple=True,
    help="A text that means a missing cell, instead of the usual ones; may be given several times.",
)
@click.option("--dates", is_flag=True, help="Use dates, as year, month, weekday and days since the first.")
@click.option(
    "--categories", multiple=True, help="A column of numbers to read as categories; may be given several times."
)
def new(
    table: Path,
    target: str | None,
    output: Path | None,
    force: bool,
    task: str | None,
    unit: tuple[str, ...],
    missing_marker: tuple[str, ...],
    dates: bool,
    categories: tuple[str, ...],
    **texts: str | None,
) -> None:
    """Read a table and write an experiment that predicts one of its columns.

    TABLE is a CSV, TSV, Parquet, NPZ or Excel file. The experiment runs as it is; comments in it say why each value
    was chosen. Columns of dates, and text that differs in nearly every row, are left out. Without options, a text file
    is UTF-8 with commas between cells and decimal points in numbers.

    \b
    Example:
      mytorch experiment new iris.csv --target species
      mytorch experiment new prices.csv --target price --delimiter ";" --decimal , --output prices-1.toml
      mytorch experiment new sales.csv --target sold --thousands , --unit "$" --dates --categories shop
    """
    from mytorch.experiments.new.new_experiment import found, new_experiment, train_next

    reading: dict[str, object] = dict(reading_of(texts))
    if unit:
        reading["units"] = unit
    if missing_marker:
        reading["missing_markers"] = missing_marker
    look, path = new_experiment(
        table, target, output, force=force, task=task, reading=reading, dates=dates, categories=categories
    )
    click.echo("\n".join([*found(look), f"Wrote {path}", f"Next: {train_next(look, path)}"]))
