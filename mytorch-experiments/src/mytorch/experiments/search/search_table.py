"""A search on the terminal."""

from __future__ import annotations

import json
from typing import Any

import click

from mytorch.experiments.search.search import BEST_FILE, Search, Trial
from mytorch.experiments.tables.terminal import number, show_table
from mytorch.plugins import counted

SHOWN = 10
"""So many of the best trials are listed."""


def trial_line(found: Search, trial: Trial) -> str:
    """What became of a trial, in a line."""
    tried = ", ".join(f"{key} = {_value(value)}" for key, value in trial.settings.items())
    name = found.monitor.replace("_", " ")
    if trial.state == "failed":
        result = f"failed: {trial.reason}"
    elif trial.state == "pruned":
        result = f"ended early with a {name} of {number(trial.value)}"
    else:
        best = " (the best so far)" if found.best is trial else ""
        result = f"{name} {number(trial.value)}{best}"
    return f"trial {trial.number}: {result}; {tried}"


def show_search(found: Search) -> None:
    """Print the best trials, how many there were, and where the best experiment lies."""
    best = found.best
    if best is None:
        click.echo(f"{len(found.trials)} trials, none of which was trained to the end")
        return
    headings = ["trial", "run", *best.settings, found.monitor.replace("_", " ")]
    rows = [
        [str(one.number), one.run or "-", *map(_value, one.settings.values()), number(one.value)]
        for one in found.ranked[:SHOWN]
    ]
    show_table(headings, rows, left=2)
    states = [trial.state for trial in found.trials]
    counts = ", ".join(
        f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed") if state in states
    )
    click.echo(f"{counted(len(states), 'trial')}: {counts}")
    if found.exhausted:
        click.echo("Every combination of settings was tried; widen --over to try others")
    click.echo(f"The best as an experiment: {found.path / BEST_FILE}")
    click.echo(f"Evaluate it on data that the search has not seen: mytorch evaluate {found.path / (best.run or '')}")


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
