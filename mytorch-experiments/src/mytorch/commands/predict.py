"""mytorch predict"""

from __future__ import annotations

import csv
from pathlib import Path

import click

from mytorch.commands._shared_options import device_option, reading_of, reading_options
from mytorch.plugins import counted


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("rows", metavar="INPUT", type=click.Path(path_type=Path))
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="The CSV or NPZ file to write.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Rows that go through the model at once; fewer take less memory.  [default: 8192, fewer of large rows]",
)
@click.option(
    "--engine",
    type=click.Choice(["eager", "compiled"]),
    default="eager",
    show_default=True,
    help="compiled takes each batch in one call of machine code, for many small batches.",
)
@reading_options
@device_option
@click.option(
    "--keep",
    metavar="COLUMNS|all",
    help="Write these columns of INPUT, with commas between, or all, in front of the predictions.",
)
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
def predict(
    run: Path,
    rows: Path,
    output: Path,
    batch_size: int | None,
    engine: str,
    device: str,
    keep: str | None,
    force: bool,
    **reading: str | None,
) -> None:
    """Predict the rows of a file, or a folder of images, with a run.

    RUN is the folder that `mytorch train` made. INPUT is a table with the columns that the run was trained on, in any
    order; the target may be absent. For a run of arrays it is an NPZ file or a folder of .npy files, for a run of
    images a folder of them, and for a run of a text another text. It is read like the file of the training, except for
    the options that are given.

    The output has one line per row, in the same order, for a time series one per window, and for images with the name
    of the file: for classes the label and the probability of each, for numbers the value in the target's units. Where
    each step of a sequence has a class, there is a line per step. A model that gives more for each row, such as a
    class for each pixel, needs an NPZ file as output.

    \b
    Example:
      mytorch predict runs/disk-20260101-120000 new.csv --output predictions.csv
      mytorch predict runs/disk-20260101-120000 new.csv --output predictions.csv --keep id,name
      mytorch predict runs/disk-20260101-120000 new.csv --output predictions.csv --delimiter ";" --decimal ,
      mytorch predict runs/shapes-unet-20260101-120000 images.npz --output masks.npz
    """
    from mytorch.experiments import load
    from mytorch.experiments.runs.write_predictions import write_predictions

    kept = None if keep == "all" else next(csv.reader([keep or ""]), [])
    loaded = load(run, device=device, reading=reading_of(reading))
    count = write_predictions(loaded, rows, output, force, batch_size, engine, kept)
    click.echo(f"Wrote {counted(count, 'prediction')} to {output}")
