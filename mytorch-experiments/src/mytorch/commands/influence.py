"""mytorch influence"""

from __future__ import annotations

from pathlib import Path

import click

from mytorch.commands._shared_options import device_option, reading_of, reading_options
from mytorch.plugins import counted, refuse_overwrite


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("row")
@click.option(
    "--part",
    type=click.Choice(["test", "validation", "training"]),
    help="The part of the data that the row is in.  [default: test, or validation without it]",
)
@click.option("--row-of", type=click.Path(path_type=Path), help="ROW is one of this file, which has the target.")
@click.option(
    "--damping",
    type=click.FloatRange(min=0.0, min_open=True),
    help="Use influence functions, which take the curvature of the loss into account; this number is added to it.",
)
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="How many rows are shown.")
@click.option("--csv", "output", type=click.Path(dir_okay=False, path_type=Path), help="Write all rows to this file.")
@click.option("--force", is_flag=True, help="Replace the file of --csv if it exists.")
@reading_options
@device_option
def influence(
    run: Path,
    row: str,
    part: str | None,
    row_of: Path | None,
    damping: float | None,
    top: int,
    output: Path | None,
    force: bool,
    device: str,
    **reading: str | None,
) -> None:
    """Show which training rows lower or raise the loss of a prediction.

    RUN is the folder of a run. ROW is a row of the test part: its number in the file, where 1 is the first row of
    data, or its name, such as the file of an image. The output shows training rows by their numbers in the file, too,
    even if they were shuffled and split.

    A training row with a positive influence is helpful: training on it lowers the loss of the prediction. A row with
    a negative influence is harmful: training on it raises the loss. Without --damping, the influence is the effect of
    one step of gradient descent on the row (TracIn), which takes one forward and backward pass of the training rows.
    With --damping, it is that of influence functions, for which every pair of training rows is compared.

    \b
    Example:
      mytorch influence runs/disk-20260101-120000 3
      mytorch influence runs/disk-20260101-120000 1 --row-of new.csv --damping 0.01
      mytorch influence runs/disk-20260101-120000 3 --csv influence.csv
    """
    from mytorch.experiments import load
    from mytorch.experiments.runs.influences import influences_of_run
    from mytorch.experiments.tables.influence_table import show_influences

    if part is not None and row_of is not None:
        raise click.UsageError("--part must be left out with --row-of, whose file is no part")
    if output is not None:
        refuse_overwrite(output, force, suffixes=(".csv",))
    loaded = load(run, device=device, reading=reading_of(reading))
    found = influences_of_run(loaded, row, part, row_of, damping)
    show_influences(found, top)
    if output is not None:
        found.write(output)
        click.echo(f"Wrote {counted(len(found.values), 'row')} to {output}")
