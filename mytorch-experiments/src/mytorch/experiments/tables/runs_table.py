"""Runs and comparisons of runs as tables on the terminal."""

from __future__ import annotations

import click

from mytorch.experiments.runs.compare_runs import RunComparison
from mytorch.experiments.runs.runs import DAMAGED, DIED, RunSummary
from mytorch.experiments.tables.terminal import number, show_table
from mytorch.plugins import listed

BETTER = "*"


def show_runs(runs: list[RunSummary]) -> None:
    """Print a line a run, and what is wrong with those that are damaged. What is not of test data is marked so."""
    names = dict.fromkeys(name for run in runs for name in run.figures)
    headings = ["run", "when", "status", "epochs", "seconds", *(name.replace("_", " ") for name in names)]
    show_table(headings, (_row(run, list(names)) for run in runs), left=3)
    for run in runs:
        if run.status == DAMAGED:
            click.echo(f"Damaged: {run.reason}")
        elif run.status == DIED:
            click.echo(f"Died: {run.reason}")
        if run.weights_epoch is not None and run.epochs is not None and run.weights_epoch < run.epochs:
            click.echo(f"{run.path.name}: the weights are those after {run.weights_epoch} of {run.epochs} epochs")


def _row(run: RunSummary, names: list[str]) -> list[str]:
    mark = "" if run.judged_on in ("test", None) else f" ({run.judged_on})"
    figures = (_figure(run, name) + mark if name in run.figures else "-" for name in names)
    when = f"{run.when:%Y-%m-%d %H:%M}"
    epochs = number(run.epochs) if run.folds is None else f"{run.folds} folds"
    return [run.path.name, when, run.status, epochs, number(run.seconds), *figures]


def _figure(run: RunSummary, name: str) -> str:
    """A number, with its deviation over the folds of a cross-validation."""
    spread = f" ± {run.deviations[name]:.2g}" if name in run.deviations else ""
    return number(run.figures[name]) + spread


def show_comparison(comparison: RunComparison) -> None:
    """Print what differed, and the final numbers with the better one marked."""
    names = comparison.names
    if comparison.differences:
        show_table(["key", *names], comparison.differences, left=3)
    else:
        click.echo("The experiments are equal.")
    click.echo()
    rows = [
        (
            figure.name.replace("_", " "),
            number(figure.a) + (BETTER if figure.better == "a" else " "),
            number(figure.b) + (BETTER if figure.better == "b" else " "),
        )
        for figure in comparison.figures
    ]
    show_table(["last", *names], rows)
    if any(figure.better for figure in comparison.figures):
        click.echo(f"{BETTER} is better")
    if comparison.other_rows:
        keys = dict.fromkeys(key for found in comparison.other_rows.values() for key in found)
        click.echo(f"Not the same rows, so not comparable: {listed(comparison.other_rows)} ({listed(keys)} differs)")
