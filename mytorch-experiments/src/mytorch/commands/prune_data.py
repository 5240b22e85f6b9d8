"""mytorch prune-data"""

from __future__ import annotations

from pathlib import Path

import click

from mytorch.commands._shared_options import device_option
from mytorch.plugins import counted, refuse_overwrite


@click.command("prune-data")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--keep",
    type=click.FloatRange(min=0.0, max=1.0, min_open=True),
    default=0.5,
    show_default=True,
    help="The share of the training rows to keep: those with the largest scores.",
)
@click.option(
    "--by",
    type=click.Choice(["error", "gradient"]),
    default="error",
    show_default=True,
    help="The score: the norm of the gradient with respect to the prediction (error) or to the weights (gradient).",
)
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The CSV file.")
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
@device_option
def prune_data(runs: tuple[Path, ...], keep: float, by: str, output: Path, force: bool, device: str) -> None:
    """Choose the training rows with the largest gradients, to train on them only (data pruning).

    Each training row gets a score: the norm of its gradient. A row with a small score has been learned already and
    teaches little. RUN is the folder of a run. Scores are more reliable as the mean over several RUNs with different
    seeds, which were trained on the same rows. Rows with wrong labels have large scores, too: look at the first rows
    of the output, and correct or remove wrong ones in your data first.

    The output is a CSV file of the rows to keep with their scores, the largest first; `--keep 1` lists all rows. With
    `data.keep`, an experiment trains only on the rows of such a file.

    \b
    Example:
      mytorch prune-data runs/disk-20260101-120000 --keep 0.5 --output kept.csv
      mytorch train disk --set data.keep=kept.csv
    """
    from mytorch.experiments import load
    from mytorch.experiments.runs.pruning import row_scores

    refuse_overwrite(output, force, suffixes=(".csv",))
    scores = row_scores([load(run, device=device) for run in runs], by)
    rows = scores.largest(keep)
    scores.write(output, rows)
    largest, smallest = (scores.values[row].item() for row in (rows[0], rows[-1]))
    click.echo(
        f"Wrote {len(rows)} of {counted(len(scores.values), 'training row')} to {output}, those with the largest {by} "
        f"norms, {largest:.4g} to {smallest:.4g}"
    )
    click.echo(f"Train on them alone: mytorch train EXPERIMENT --set data.keep={output}")
