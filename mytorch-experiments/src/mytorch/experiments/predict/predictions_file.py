"""Predictions as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from mytorch.experiments.predict.head import Predictions
from mytorch.plugins import whole_file


def write_csv(path: Path, first: Predictions, others: Iterable[Predictions]) -> int:
    """Write predictions batch by batch, whole or not at all, and return the number of rows.

    Classes: `prediction`, the label, and `probability_LABEL` for each class. Numbers: `prediction`, or `prediction_0`
    and so on for several.
    """
    rows = 0
    with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_header(first))
        for predictions in chain([first], others):
            lines = _lines(predictions)
            table.writerows(lines)
            rows += len(lines)
    return rows


def _header(predictions: Predictions) -> list[str]:
    if predictions.values is None:
        return ["prediction", *(f"probability_{name}" for name in predictions.classes)]
    count = predictions.values.shape[1]
    return ["prediction"] if count == 1 else [f"prediction_{number}" for number in range(count)]


def _lines(predictions: Predictions) -> list[list[Any]]:
    if predictions.labels is None or predictions.probabilities is None:
        return [] if predictions.values is None else predictions.values.tolist()
    return [[label, *row] for label, row in zip(predictions.labels, predictions.probabilities.tolist(), strict=True)]
