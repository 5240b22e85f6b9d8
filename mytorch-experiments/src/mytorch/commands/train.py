"""mytorch train"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from mytorch.commands.resume import accept_option
from mytorch.plugins import catalogue, parse_setting


def complete_experiment(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The installed experiments that begin so, and files."""
    names = [part.name for part in catalogue().of_kind("experiment") if part.name.startswith(begun)]
    return [*(CompletionItem(name) for name in names), CompletionItem(begun, type="file")]


overrides_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a value of the experiment, such as optimizer.lr=0.05; may be given several times.",
)


@click.command()
@click.argument("experiment", shell_complete=complete_experiment)
@overrides_option
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="The folder in which the run's folder is created.",
)
@click.option(
    "--engine",
    type=click.Choice(["eager", "compiled", "auto"]),
    help="Override the experiment's engine: compiled takes several steps in one call of machine code; auto begins "
    "eagerly and compiles meanwhile if the run is long enough.",
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    help="Cross-validation: train one model per fold, evaluate it on the fold, and show mean and standard deviation.",
)
@click.option(
    "--device", help="Override the experiment's device: cpu, cuda, cuda:1, mps, or auto for a GPU if present."
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Resume this run in its folder, as `mytorch resume RUN` does, instead of starting a new one.",
)
@accept_option
@click.option(
    "--quiet",
    "-q",
    is_flag=True,
    help="Show no progress, no notes on the data and no summary; warnings and errors are still shown.",
)
@click.option(
    "--trace-hooks", is_flag=True, help="Print each call of a hook: its callback, its time, and what it raised."
)
def train(
    experiment: str,
    settings: tuple[str, ...],
    output: Path,
    engine: str | None,
    device: str | None,
    folds: int | None,
    resume: Path | None,
    accept_differences: bool,
    quiet: bool,
    trace_hooks: bool,
) -> None:
    """Train an experiment and keep the run.

    EXPERIMENT is a TOML file or the name of an installed experiment. Every run gets a new folder with the resolved
    experiment, the history, the weights and figures.

    \b
    Example:
      mytorch train disk
      mytorch train disk --set optimizer.lr=0.05 --set epochs=50
      mytorch train my-experiment.toml --output results --engine compiled
      mytorch train my-table.toml --folds 5
      torchrun --nproc-per-node 2 -m mytorch train disk
    """
    from mytorch.experiments import train_folds
    from mytorch.experiments.tables.report import folds_summary, run_summary
    from mytorch.experiments.training.train_experiment import load_trained, train_in_folder
    from mytorch.train.parallel import is_first

    given = {"engine": engine, "device": device}
    overrides = {
        **dict(map(parse_setting, settings)),
        **{key: said for key, said in given.items() if said is not None},
    }
    trace = partial(click.echo, err=True) if trace_hooks else None
    if folds is None:
        path = train_in_folder(
            experiment,
            overrides,
            output=output,
            resume=resume,
            accept_differences=accept_differences,
            quiet=quiet,
            trace_hooks=trace,
        )
        told = "" if quiet or not is_first() else run_summary(load_trained(path))
    else:
        found = train_folds(experiment, overrides, folds=folds, output=output, quiet=quiet, trace_hooks=trace)
        told = "" if quiet else folds_summary(found)
    if told:
        click.echo(told)
