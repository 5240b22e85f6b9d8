"""A judgement on the terminal."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isclose

import click

from mytorch.experiments.predict.judge import Judgement
from mytorch.experiments.predict.judgement import BINS, Confusion, Residuals
from mytorch.experiments.tables.terminal import number, show_table
from mytorch.plugins import counted, listed, printable

SHOWN_CLASSES = 10
"""A matrix of more does not fit; then the most frequent mistakes are listed, so many."""
NAME_LENGTH = 20
ROUNDING = 1e-5
"""Two sums of the same float32 numbers may differ by so much."""


def show_judgement(judgement: Judgement) -> None:
    """Print loss and metrics, those of the baselines beside them, and what there is to say of classes or numbers."""
    columns = {"network": judgement.results, **judgement.baselines}
    rows = [
        [name.replace("_", " "), *(f"{results[name]:.6g}" for results in columns.values())]
        for name in judgement.results
        if name != "loss" or not _is_a_metric(columns.values())
    ]
    show_table(["", *columns], rows)
    if judgement.as_good:
        names = " and ".join(f"the {name}" for name in judgement.as_good)
        click.echo(f"\nThe network is no better than {names} in any of these numbers, so it is not needed.")
    click.echo(f"\n{counted(judgement.rows, 'row')} of {judgement.source}")
    if judgement.skipped:
        click.echo(f"{judgement.skipped} of them are left out below: output or target is not finite, or not a class")
    if judgement.confusion is not None:
        _show_confusion(judgement.confusion)
    if judgement.residuals is not None:
        _show_residuals(judgement.residuals)


def _is_a_metric(columns: Collection[Mapping[str, float]]) -> bool:
    """Whether the loss is the same number as a metric in every column, but for rounding: then its name says less."""
    metrics = [name for name in next(iter(columns)) if name != "loss"]
    return any(all(isclose(one["loss"], one[name], rel_tol=ROUNDING) for one in columns) for name in metrics)


def _show_confusion(confusion: Confusion) -> None:
    names = [short(name) for name in confusion.classes]
    if absent := [name for name, rows in zip(names, confusion.counts.sum(1).tolist(), strict=True) if not rows]:
        told = printable(listed(absent, SHOWN_CLASSES))
        click.echo(f"No row is of class {told}: these numbers do not show how well it is predicted")
    if len(names) <= SHOWN_CLASSES:
        rows = [[name, *map(str, row)] for name, row in zip(names, confusion.counts.tolist(), strict=True)]
        show_table(["true \\ predicted", *names], rows)
    else:
        rows = [[names[true], names[predicted], str(count)] for true, predicted, count in mistakes(confusion)]
        click.echo(f"The most frequent mistakes among {len(names)} classes:")
        show_table(["true", "predicted", "rows"], rows, left=2)
    click.echo(f"expected calibration error  {confusion.calibration_error:.4g}  ({BINS} bins)")


def mistakes(confusion: Confusion) -> list[tuple[int, int, int]]:
    """The most frequent mistakes: true class, predicted class, rows."""
    wrong = confusion.counts.clone()
    wrong.fill_diagonal_(0)
    counts, places = wrong.flatten().topk(SHOWN_CLASSES)
    size = len(confusion.classes)
    return [
        (place // size, place % size, count)
        for place, count in zip(places.tolist(), counts.tolist(), strict=True)
        if count
    ]


def _show_residuals(residuals: Residuals) -> None:
    statistics = residuals.statistics()
    headings = next(iter(statistics.values()))
    rows = [[name, *map(number, numbers.values())] for name, numbers in statistics.items()]
    show_table(["true - predicted", *headings], rows)


def short(name: str) -> str:
    """A name that fits beside others."""
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 3]}..."
