"""`mytorch data`: make and write data sets."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from mytorch.plugins import counted

if TYPE_CHECKING:
    from mytorch.core import DataSet


@click.group()
def data() -> None:
    """Generate data sets and write them to files.

    \b
    Example:
      mytorch data generate disk --samples 1000 --seed 0 --output disk.csv
    """


def _complete(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    from mytorch.plugins import catalogue

    names = sorted({part.name.lower() for part in catalogue().of_kind("dataset")})
    return [CompletionItem(name) for name in names if name.startswith(begun.lower())]


_FILE = click.Path(dir_okay=False, path_type=Path)


@data.command(short_help="Generate a data set and write it as a table.")
@click.argument("name", shell_complete=_complete)
@click.option("--samples", type=click.IntRange(min=1), default=1000, show_default=True, help="Number of rows.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The seed of the random numbers: the same seed gives the same rows.",
)
@click.option("--output", type=_FILE, help="The table to write.  [default: NAME.csv]")
@click.option("--plot", type=_FILE, help="Draw the points too: a file that ends in .png, .svg or .pdf.")
@click.option("--dtype", help="The floating-point type of the numbers, such as float64.  [default: the data set's]")
@click.option("--force", is_flag=True, help="Replace files that exist.")
def generate(
    name: str, samples: int, seed: int, output: Path | None, plot: Path | None, dtype: str | None, force: bool
) -> None:
    """Generate a data set and write it as a CSV table, with a plot if asked for.

    NAME is an installed data set that takes a number of samples and a seed, such as disk, in any case.

    \b
    Example:
      mytorch data generate disk --samples 1000 --seed 0 --output disk.csv --plot disk.png
    """
    from mytorch.data.generate import generator, make
    from mytorch.plugins import refuse_overwrite

    constructor = generator(name)
    output = output or Path(f"{name.rpartition(':')[2].lower()}.csv")
    refuse_overwrite(output, force)
    if plot is not None:
        from mytorch.data.plot import require_plot

        require_plot(plot, force)
    dataset = make(constructor, samples, seed, dtype)
    _write(dataset, output, plot, force, {"samples": samples, "seed": seed})


def _write(dataset: "DataSet", output: Path, plot: Path | None, force: bool, told: dict[str, Any]) -> None:
    from mytorch.data import write_csv

    write_csv(dataset, output, force)
    click.echo(f"Wrote {counted(len(dataset), 'row')} to {output}")
    if plot is not None:
        from mytorch.data.plot import plot_points

        plot_points(dataset, plot, f"{type(dataset).__name__}, {told['samples']} points, seed {told['seed']}", force)
        click.echo(f"Drew {plot}")
