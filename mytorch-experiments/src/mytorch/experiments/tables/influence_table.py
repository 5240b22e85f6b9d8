"""The influence of training rows on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import click

from mytorch.experiments.file.origin import LENGTH
from mytorch.experiments.runs.influences import Influences
from mytorch.experiments.tables.terminal import show_table
from mytorch.plugins import counted, cut, printable


def show_influences(found: Influences, top: int) -> None:
    """Print the prediction, the most helpful and the most harmful training rows, and what their numbers mean."""
    said = f"target {found.target}, predicted {found.predicted}, loss {found.loss:.4g}"
    click.echo(printable(f"{found.row[0].upper()}{found.row[1:]}: {said}"))
    order, count = found.order, counted(len(found.values), "training row")
    helpful = [row for row in order[:top] if found.values[row] > 0]
    harmful = [row for row in order[: -top - 1 : -1] if found.values[row] < 0]
    _show(found, f"Most helpful of {count}, which lower this loss:", helpful)
    _show(found, f"Most harmful of {count}, which raise this loss:", harmful)
    if found.damping is None:
        click.echo(
            "\nThe influence of a row is how much one step of gradient descent on it alone would lower the loss, "
            "divided\nby the learning rate; --damping estimates the effect of a training without the row instead."
        )
    else:
        click.echo(
            "\nThe influence of a row estimates how much the loss would rise if the training had not had this row."
        )


def _show(found: Influences, title: str, rows: Sequence[int]) -> None:
    if not rows:
        return
    click.echo(f"\n{title}")
    lines = [[*map(_short, found.training.cells(row)), f"{found.values[row].item():.4g}"] for row in rows]
    show_table([*map(_short, found.training.headings), "influence"], lines)


def _short(cell: str) -> str:
    return cut(cell, LENGTH)
