"""A judgement on the terminal."""

from __future__ import annotations

import click

from mytorch.experiments.predict.judge import Judgement
from mytorch.experiments.predict.judgement import BINS, Confusion, Residuals
from mytorch.experiments.tables.terminal import number, show_table

SHOWN_CLASSES = 10
"""A matrix of more does not fit; then the most frequent mistakes are listed, so many."""
NAME_LENGTH = 20


def show_judgement(judgement: Judgement) -> None:
    """Print loss and metrics, those of the baselines beside them, and what there is to say of classes or numbers."""
    columns = {"network": judgement.results, **judgement.baselines}
    rows = [
        [name.replace("_", " "), *(f"{results[name]:.6g}" for results in columns.values())]
        for name in judgement.results
    ]
    show_table(["", *columns], rows)
    click.echo(f"\n{judgement.rows} rows of {judgement.source}")
    if judgement.skipped:
        click.echo(f"{judgement.skipped} of them are left out below: output or target is not finite, or not a class")
    if judgement.confusion is not None:
        _show_confusion(judgement.confusion)
    if judgement.residuals is not None:
        _show_residuals(judgement.residuals)


def _show_confusion(confusion: Confusion) -> None:
    names = [short(name) for name in confusion.classes]
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
