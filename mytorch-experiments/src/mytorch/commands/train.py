"""mytorch train"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
from click.shell_completion import CompletionItem

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
    help="The folder in which the run's own new folder is made.",
)
@click.option(
    "--engine",
    type=click.Choice(["eager", "compiled"]),
    help="Override the experiment's engine: compiled takes several steps in one call of machine code.",
)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress and no summary.")
@click.option("--trace-hooks", is_flag=True, help="Print each call of a hook: which, whose, how long, what it raised.")
def train(
    experiment: str, settings: tuple[str, ...], output: Path, engine: str | None, quiet: bool, trace_hooks: bool
) -> None:
    """Train an experiment and keep the run.

    EXPERIMENT is a TOML file or the name of an installed experiment. Every run gets a new folder with the resolved
    experiment, the history, the weights and figures.

    \b
    Example:
      mytorch train disk
      mytorch train disk --set optimizer.lr=0.05 --set epochs=50
      mytorch train my-experiment.toml --output results --engine compiled
    """
    from mytorch.experiments import train_experiment
    from mytorch.experiments.tables.report import run_summary

    run = train_experiment(
        experiment,
        dict(map(parse_setting, settings)) | ({} if engine is None else {"engine": engine}),
        output=output,
        quiet=quiet,
        trace_hooks=partial(click.echo, err=True) if trace_hooks else None,
    )
    if not quiet:
        click.echo(run_summary(run))
