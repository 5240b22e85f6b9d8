"""mytorch search"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mytorch.commands.train import complete_experiment, overrides_option
from mytorch.plugins import parse_setting

if TYPE_CHECKING:
    from mytorch.experiments.search.search import Search, Trial


@click.command()
@click.argument("experiment", shell_complete=complete_experiment)
@click.option(
    "--over",
    multiple=True,
    required=True,
    metavar="KEY=WHAT",
    help="Values to try for a key: low..high, log:low..high, or a list with commas; several keys get the same value.",
)
@click.option(
    "--trials", "-n", type=click.IntRange(min=1), default=50, show_default=True, help="The number of further trials."
)
@click.option(
    "--monitor",
    default="validation_loss",
    show_default=True,
    help="The number of the history to optimise, such as validation_accuracy.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="The folder in which the search's folder is created.",
)
@click.option("--no-pruning", is_flag=True, help="Train every trial to the end.")
@overrides_option
@click.option("--quiet", "-q", is_flag=True, help="Show only the result.")
def search(
    experiment: str,
    over: tuple[str, ...],
    trials: int,
    monitor: str,
    output: Path,
    no_pruning: bool,
    settings: tuple[str, ...],
    quiet: bool,
) -> None:
    """Search for better hyper-parameters of an experiment, with Optuna.

    EXPERIMENT is a TOML file or the name of an installed experiment. Each trial is a run in the folder NAME-search;
    the best is written as an experiment, best.toml. The same command continues a search that was interrupted. Trials
    are compared on the validation part of the data. Processes that torchrun has started share the trials.

    \b
    Example:
      mytorch search my.toml --over optimizer.lr=log:1e-4..1e-1 --over 'model.layers.0.out_features=8,16,32'
      mytorch search my.toml --over batch_size=8..64 --trials 20 --monitor validation_accuracy
    """
    from mytorch.experiments.search.search import search_experiment
    from mytorch.experiments.search.search_table import show_search, trial_line
    from mytorch.experiments.search.space import parse_over
    from mytorch.train.parallel import is_first

    def tell(found: Search, trial: Trial) -> None:
        click.echo(trial_line(found, trial), err=True)

    found = search_experiment(
        experiment,
        dict(map(parse_over, over)),
        dict(map(parse_setting, settings)),
        trials=trials,
        monitor=monitor,
        output=output,
        pruning=not no_pruning,
        tell=None if quiet else tell,
    )
    if is_first():
        show_search(found)
