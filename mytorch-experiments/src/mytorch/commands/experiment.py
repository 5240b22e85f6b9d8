"""`mytorch experiment`: write, check and show experiment files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

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


@experiment.command(short_help="Write an experiment for data of your own.")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--target", help="The column to predict.  [default: a column named target, class, label or y]")
@click.option("--id", help="Of a table of sequences: the column that says of which sequence a row is.")
@click.option("--time", help="Of a table of sequences: the column of numbers or dates that orders a sequence.")
@click.option("--output", "-o", type=_FILE, help="The experiment file to write.  [default: the source's name, .toml]")
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
def new(source: Path, output: Path | None, force: bool, **options: Any) -> None:
    """Read a table, a text or a folder of images and write an experiment that learns it.

    SOURCE is a table, a CSV, TSV, Parquet, NPZ or Excel file, of which one column is predicted; or a text, a .txt,
    .md, .rst or .tex file, of which the next character is; or a folder of images with a folder for each class. The
    experiment runs as it is; comments in it say why each value was chosen. Columns of dates, and text that differs in
    nearly every row, are left out. Without options, a text file is UTF-8, and a table has commas between cells and
    decimal points in numbers.

    With --id and --time, each row is a step of a sequence, and the target is one value for each sequence.

    \b
    Example:
      mytorch experiment new iris.csv --target species
      mytorch experiment new prices.csv --target price --delimiter ";" --decimal , --output prices-1.toml
      mytorch experiment new sales.csv --target sold --thousands , --unit "$" --dates --categories shop
      mytorch experiment new visits.csv --target ill --id patient --time day
      mytorch experiment new book.txt
      mytorch experiment new photos
    """
    context = click.get_current_context()
    given = [name for name in options if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
    kind = _kind_of(source, given)
    write, takes = _WRITERS[kind]
    for name in given:
        if name not in takes:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} is an option of other sources; {source} is read as {kind}, without it")
    click.echo("\n".join(write(source, output, force, {name: options[name] for name in takes})))


def _kind_of(source: Path, given: Sequence[str]) -> str:
    """What a source is, by its name and first lines, and by the options that are given."""
    from mytorch.experiments.new.text_experiment import is_text

    if source.is_dir():
        return "a folder of images"
    if {"id", "time"} & set(given):
        return "a table of sequences"
    of_a_table = source.suffix.lower() == ".txt" and bool(set(given) - set(_WRITERS["a text"][1]))
    return "a text" if is_text(source) and not of_a_table else "a table"


def _for_table(source: Path, output: Path | None, force: bool, options: Mapping[str, Any]) -> list[str]:
    """Write an experiment for a table, and tell what was found."""
    from mytorch.experiments.new.new_experiment import found, new_experiment, train_next

    own = {name: options[name] for name in ("task", "dates", "categories")}
    texts = ("encoding", "decimal", "delimiter", "thousands", "sheet")
    reading: dict[str, object] = dict(reading_of({name: options[name] for name in texts}))
    if options["unit"]:
        reading["units"] = options["unit"]
    if options["missing_marker"]:
        reading["missing_markers"] = options["missing_marker"]
    look, path = new_experiment(source, options["target"], output, force=force, reading=reading, **own)
    return [*found(look), f"Wrote {path}", f"Next: {train_next(look, path)}"]


def _for_sequences(source: Path, output: Path | None, force: bool, options: Mapping[str, Any]) -> list[str]:
    """Write an experiment for a table of sequences, and tell what was found."""
    from mytorch.experiments.new.sequences_experiment import found_sequences, new_sequences_experiment, train_sequences

    if lacking := [f"--{name}" for name in ("id", "time") if options[name] is None]:
        raise click.UsageError(f"{lacking[0]} must be given too for a table of sequences: both columns are needed")
    own = {name: options[name] for name in ("id", "time", "target", "task", "dates", "categories")}
    reading = reading_of({name: options[name] for name in ("encoding", "decimal", "delimiter")})
    look, path = new_sequences_experiment(source, output=output, force=force, reading=reading, **own)
    return [*found_sequences(look), f"Wrote {path}", f"Next: {train_sequences(look, path)}"]


def _for_text(source: Path, output: Path | None, force: bool, options: Mapping[str, Any]) -> list[str]:
    """Write an experiment for a text, and tell what was found."""
    from mytorch.experiments.new.text_experiment import found, new_text_experiment

    look, path = new_text_experiment(source, output, force=force, encoding=options["encoding"])
    return [*found(look), f"Wrote {path}", f"Next: mytorch train {shlex.quote(str(path))}"]


def _for_images(source: Path, output: Path | None, force: bool, _options: Mapping[str, Any]) -> list[str]:
    """Write an experiment for a folder of images, and tell what was found."""
    from mytorch.experiments.new.images_experiment import found_images, new_images_experiment

    look, path = new_images_experiment(source, output, force=force)
    return [*found_images(look), f"Wrote {path}", f"Next: mytorch train {shlex.quote(str(path))}"]


_READING = ("encoding", "decimal", "delimiter", "thousands", "unit", "sheet", "missing_marker")
_WRITERS: Mapping[str, tuple[Callable[..., list[str]], tuple[str, ...]]] = {
    "a folder of images": (_for_images, ()),
    "a text": (_for_text, ("encoding",)),
    "a table": (_for_table, ("target", "task", *_READING, "dates", "categories")),
    "a table of sequences": (
        _for_sequences,
        ("id", "time", "target", "task", "encoding", "decimal", "delimiter", "dates", "categories"),
    ),
}
"""By kind of source: what writes its experiment, and the options that it takes."""
