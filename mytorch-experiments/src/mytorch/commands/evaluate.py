"""mytorch evaluate"""

from __future__ import annotations

import json
from pathlib import Path

import click

from mytorch.commands._shared_options import device_option, reading_of, reading_options
from mytorch.plugins import FileError


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), help="Evaluate on this file or folder, which has the target, instead."
)
@click.option(
    "--figures",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the figures.  [default: figures, in the run's own]",
)
@reading_options
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON; one that is not finite is null.")
def evaluate(
    run: Path, data: Path | None, figures: Path | None, as_json: bool, device: str, **reading: str | None
) -> None:
    """Evaluate a run on the test data of its experiment, or on a file.

    RUN is the folder that `mytorch train` made. Without test data, the validation or training data are used. For
    classes, the confusion matrix and the calibration are shown and drawn; for numbers, the residuals. Two baselines
    are shown beside the network: a linear model, and the most frequent class or the mean, learned from the same
    training rows. For sequences of different lengths the linear model sees their mean step; a time series has the
    naive forecast, which repeats the last value, too; a text has a bigram model alone. If they are as good, the
    network is not needed. A metric that is NaN is an error. The data of --data, a table, arrays, images or a text,
    are read like those of the training, except for the options that are given.

    \b
    Example:
      mytorch evaluate runs/disk-20260101-120000
      mytorch evaluate runs/disk-20260101-120000 --data more.csv --figures figures
    """
    from mytorch.experiments import load
    from mytorch.experiments.figures.judgement_figures import draw_judgement
    from mytorch.experiments.runs.run import judge
    from mytorch.experiments.runs.run_folder import plain
    from mytorch.experiments.tables.judgement_table import show_judgement

    loaded = load(run, device=device, reading=reading_of(reading))
    judgement = judge(loaded, data, beside=True)
    if as_json:
        click.echo(json.dumps(plain(judgement.as_data())))
    else:
        show_judgement(judgement)
    try:
        drawn = draw_judgement(judgement, loaded.path, figures, data)
    except FileError as error:
        if figures is None:
            error.add_note("--figures FOLDER draws them in another folder")
        raise
    if drawn and not as_json:
        click.echo(f"Drew {', '.join(path.name for path in drawn)} in {drawn[0].parent}")
    judgement.require_defined(str(run))
