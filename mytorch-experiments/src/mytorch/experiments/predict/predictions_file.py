"""Predictions as CSV, or as arrays."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from mytorch.experiments.predict.head import Predictions
from mytorch.plugins import whole_file
from mytorch.train.errors import RunError

Kept = tuple[Sequence[str], Iterator[list[str]]]
"""Names of columns of the rows that are predicted, and their cells, a row at a time."""


def write_csv(path: Path, first: Predictions, others: Iterable[Predictions], kept: Kept | None = None) -> int:
    """Write predictions batch by batch, whole or not at all, and return the number of rows.

    Classes: `prediction`, the label, and `probability_LABEL` for each class. Numbers: `prediction`, or `prediction_0`
    and so on for several, or their names in place of 0. Numbers have the digits that the model's dtype tells apart.
    Where each step of a sequence has its own, there is a line for each, and `step`, counted from 1, in front.
    kept: columns that stand in front. Raises RunError for one that is called as one of the above.
    """
    names, cells = kept or ((), repeat([]))
    header = _header(first)
    if twice := [name for name in names if name in header]:
        raise RunError(
            f"{path}: columns must have different names, got {twice[0]!r} among those to keep, as that of the "
            "predictions is called; leave it out"
        )
    with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        return write_lines(file, chain([first], others), [*names, *header], cells)


def csv_of(predictions: Predictions, row_names: tuple[str, Sequence[str]] | None) -> str:
    """Predictions as the text of the file that `write_csv` would write."""
    column, names = row_names or ("", ())
    header, text = _header(predictions), io.StringIO()
    cells: Iterator[list[str]] = ([name] for name in names) if row_names else repeat([])
    write_lines(text, [predictions], [*([column] if row_names else []), *header], cells)
    return text.getvalue()


def write_lines(file: TextIO, parts: Iterable[Predictions], header: Sequence[str], cells: Iterator[list[str]]) -> int:
    """The lines of `write_csv`; cells: of each row, those that stand in front."""
    rows = 0
    table = csv.writer(file, lineterminator="\n")
    table.writerow(header)
    for predictions in parts:
        for lines in _of_rows(predictions):
            cell = next(cells)
            table.writerows([*cell, *line] for line in lines)
            rows += 1
    return rows


def write_arrays(path: Path, predictions: Predictions, row_names: tuple[str, Sequence[str]] | None) -> int:
    """Write predictions as an NPZ file, whole or not at all, and return the number of rows.

    Classes: `prediction`, the index of each class, `probabilities` and `classes`, their names. Numbers: `prediction`.
    For steps of sequences there are their `lengths`, too, and for a model with several outputs `output_1` and so on.
    row_names: the name of an array of what tells the rows apart, and its texts. Raises RunError if it is called as
        one of the above.
    """
    with whole_file(path) as beside, beside.open("wb") as file:
        np.savez(file, **arrays_of(predictions, row_names, str(path)))
    return len(predictions)


def arrays_of(predictions: Predictions, row_names: tuple[str, Sequence[str]] | None, owner: str) -> dict[str, Any]:
    """The arrays of `write_arrays`; owner: of what, for errors."""
    arrays: dict[str, Any] = {"prediction": predictions.values}
    if predictions.indices is not None:
        arrays = {"prediction": predictions.indices, "probabilities": predictions.probabilities}
        arrays["classes"] = np.array(predictions.classes, dtype=np.str_)
    if predictions.lengths is not None:
        arrays["lengths"] = predictions.lengths
    arrays |= {f"output_{number}": value for number, value in enumerate(predictions.others, 1)}
    if row_names is not None:
        name, texts = row_names
        if name in arrays:
            raise RunError(
                f"{owner}: arrays must have different names, got {name!r} as the name of what names the rows"
            )
        arrays[name] = np.array(list(texts), dtype=np.str_)
    return arrays


def has_lines(predictions: Predictions) -> bool:
    """Whether each row, or each step of a sequence, is a line of numbers, as a CSV file needs."""
    return not predictions.others and len(predictions.shape) <= (2 if predictions.lengths is None else 3)


def steps_of(predictions: Predictions, row: int) -> Predictions:
    """The steps of one sequence as rows."""
    assert predictions.lengths is not None  # which those of sequences have
    return _steps_of(predictions, row, int(predictions.lengths[row]))


def _header(predictions: Predictions) -> list[str]:
    if predictions.lengths is not None:
        return ["step", *_header(_first_steps(predictions))]
    if predictions.values is None:
        return ["prediction", *(f"probability_{name}" for name in predictions.classes)]
    count = predictions.values.shape[1]
    return ["prediction"] if count == 1 else [f"prediction_{name}" for name in predictions.names or range(count)]


def _of_rows(predictions: Predictions) -> Iterator[list[list[str]]]:
    """The lines of each row: one, or one for each step of a sequence."""
    if predictions.lengths is None:
        yield from ([line] for line in _lines(predictions))
        return
    for row, length in enumerate(predictions.lengths.tolist()):
        lines = _lines(_steps_of(predictions, row, length))
        yield [[str(step), *line] for step, line in enumerate(lines, 1)]


def _first_steps(predictions: Predictions) -> Predictions:
    return _steps_of(predictions, 0, 1)


def _steps_of(predictions: Predictions, row: int, length: int) -> Predictions:
    """The steps of one sequence as rows."""
    values, probabilities, indices = predictions.values, predictions.probabilities, predictions.indices
    return replace(
        predictions,
        values=None if values is None else values[row, :length],
        probabilities=None if probabilities is None else probabilities[row, :, :length].T,
        indices=None if indices is None else indices[row, :length],
        lengths=None,
    )


def _lines(predictions: Predictions) -> list[list[str]]:
    numbers = predictions.probabilities if predictions.values is None else predictions.values
    if numbers is None:
        return []
    rows = [[f"{number:.{predictions.digits}g}" for number in row] for row in numbers.tolist()]
    if predictions.labels is None:
        return rows
    return [[label, *row] for label, row in zip(predictions.labels, rows, strict=True)]
