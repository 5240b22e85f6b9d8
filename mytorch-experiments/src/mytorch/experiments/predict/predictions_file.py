"""Predictions as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path

from mytorch.experiments.predict.head import Predictions
from mytorch.plugins import whole_file
from mytorch.train.errors import RunError

Kept = tuple[Sequence[str], Iterator[list[str]]]
"""Names of columns of the rows that are predicted, and their cells, a row at a time."""


def write_csv(path: Path, first: Predictions, others: Iterable[Predictions], kept: Kept | None = None) -> int:
    """Write predictions batch by batch, whole or not at all, and return the number of rows.

    Classes: `prediction`, the label, and `probability_LABEL` for each class. Numbers: `prediction`, or `prediction_0`
    and so on for several, or their names in place of 0. Numbers have the digits that the model's dtype tells apart.
    kept: columns that stand in front. Raises RunError for one that is called as one of the above.
    """
    names, cells = kept or ((), repeat([]))
    header, rows = _header(first), 0
    if twice := [name for name in names if name in header]:
        raise RunError(
            f"{path}: columns must have different names, got {twice[0]!r} among those to keep, as that of the "
            "predictions is called; leave it out"
        )
    with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*names, *header])
        for predictions in chain([first], others):
            lines = _lines(predictions)
            table.writerows([*next(cells), *line] for line in lines)
            rows += len(lines)
    return rows


def _header(predictions: Predictions) -> list[str]:
    if predictions.values is None:
        return ["prediction", *(f"probability_{name}" for name in predictions.classes)]
    count = predictions.values.shape[1]
    return ["prediction"] if count == 1 else [f"prediction_{name}" for name in predictions.names or range(count)]


def _lines(predictions: Predictions) -> list[list[str]]:
    numbers = predictions.probabilities if predictions.values is None else predictions.values
    if numbers is None:
        return []
    rows = [[f"{number:.{predictions.digits}g}" for number in row] for row in numbers.tolist()]
    if predictions.labels is None:
        return rows
    return [[label, *row] for label, row in zip(predictions.labels, rows, strict=True)]
