"""Looking at a user's table: what can be learned from which columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mytorch.data import Table, inspect_table
from mytorch.experiments.errors import ExperimentError
from mytorch.plugins import nearest

MOST_COLUMNS = 10_000
"""A table with more is no table of features that one can look through; the file would be hard to read."""
MOST_CATEGORIES = 100
"""Each category becomes a column; a text column with more would drown the others."""
MANY = f"text with more than {MOST_CATEGORIES} different values"
COUNTED = 1000
"""The reader counts different values up to here."""
FEWEST_ROWS = 10
"""With fewer there is nothing to hold back for validation and test."""
USUAL_TARGETS = ("target", "class", "label", "y")


@dataclass(frozen=True)
class Look:
    """What was found in a table.

    features: the columns to learn from, in the order of the file.  left_out: why others are not among them.
    text: the features of text.  incomplete: the features with missing cells.
    missing: what becomes of missing cells, None if there are none.
    width: how many inputs the features become.  rows: those that are kept.
    classes: None for numbers.
    """

    path: Path
    target: str
    features: tuple[str, ...]
    left_out: Mapping[str, str]
    text: tuple[str, ...]
    incomplete: tuple[str, ...]
    missing: str | None
    width: int
    rows: int
    classes: tuple[str, ...] | None

    @property
    def task(self) -> str:
        """What is to be learned."""
        return "regression" if self.classes is None else "classification"


def look_at(path: Path, target: str | None, task: str | None, reading: Mapping[str, Any]) -> Look:
    """Look at a table through mytorch-data's reader.

    Raises ExperimentError for a target that cannot be learned, and what the reader raises for the file.
    """
    columns = {column.name: column for column in inspect_table(path, **reading)}
    _require_few(path, columns)
    target = _target(path, list(columns), target)
    goal = columns.pop(target)
    _require_learnable(path, goal)
    missing = "drop" if goal.missing else "mean" if any(column.missing for column in columns.values()) else None
    read = partial(Table, path, target, task=task, missing=missing, encode="one-hot", **reading)
    left_out = _left_out(path, target, columns, read)
    used = [column for name, column in columns.items() if name not in left_out]
    whole = read(features=[column.name for column in used])
    _require_rows(path, target, len(whole), whole.classes)
    text, incomplete = _names(used, lambda column: column.kind == "text"), _names(used, lambda column: column.missing)
    done, width = missing if incomplete or goal.missing else None, len(whole.columns)
    return Look(path, target, _names(used), left_out, text, incomplete, done, width, len(whole), whole.classes)


def _names(columns: Sequence[Any], wanted: Callable[[Any], Any] = bool) -> tuple[str, ...]:
    return tuple(column.name for column in columns if wanted(column))


def _require_few(path: Path, columns: Collection[str]) -> None:
    if len(columns) > MOST_COLUMNS:
        raise ExperimentError(
            f"{path}: must have at most {MOST_COLUMNS} columns, got {len(columns)}; keep those that matter, "
            "or write the experiment by hand"
        )


def _left_out(path: Path, target: str, columns: Mapping[str, Any], read: Callable[..., Any]) -> dict[str, str]:
    """The columns that are no features, and why. Raises ExperimentError if none is one."""
    left_out = {name: reason for name, column in columns.items() if (reason := _unusable(column))}
    usable = [column for name, column in columns.items() if name not in left_out]
    if usable:
        simplest = min(usable, key=lambda column: column.distinct if column.kind == "text" else 0)
        rows = len(read(features=[simplest.name]))
        left_out |= {column.name: reason for column in usable if (reason := _names_rows(column, rows))}
    if len(left_out) < len(columns):
        return {name: left_out[name] for name in columns if name in left_out}
    got = _list([f"{name} ({reason})" for name, reason in left_out.items()]) if left_out else "no other"
    raise ExperimentError(f"{path}: must have a column to learn {target!r} from, got {got}")


def _target(path: Path, names: Sequence[str], target: str | None) -> str:
    if target is None:
        usual = [name for name in names if name.strip().lower() in USUAL_TARGETS]
        if len(usual) == 1:
            return usual[0]
        raise ExperimentError(
            f"{path}: the column to be predicted must be named with --target, got none. Columns: {_list(names)}"
        )
    if target not in names:
        raise ExperimentError(f"{path}: --target must be a column, got {target!r}. {_nearest(target, names)}")
    return target


def _nearest(name: str, names: Sequence[str]) -> str:
    told = nearest(name, names)
    return told if told.startswith("Nearest") else f"Known: {_list(names)}."


def _require_learnable(path: Path, goal: Any) -> None:
    """Raise ExperimentError for a target of dates, or one that is the same in every row."""
    if goal.kind == "date":
        raise ExperimentError(
            f"{path}: --target must be classes or numbers, got dates in {goal.name!r}, such as {goal.examples[0]}; "
            "turn them into numbers first (days since a first day, month, weekday)"
        )
    if goal.distinct < 2:
        got = f"{goal.examples[0]!r} in every row" if goal.examples else "no value at all"
        raise ExperimentError(
            f"{path}: --target must have at least two classes or different numbers, got {got} of {goal.name!r}; "
            "there is nothing to learn"
        )


def _require_rows(path: Path, target: str, rows: int, classes: tuple[str, ...] | None) -> None:
    if rows < FEWEST_ROWS:
        raise ExperimentError(
            f"{path}: must have at least {FEWEST_ROWS} rows with a value of {target!r}, got {rows}; "
            "some are held back for validation and test"
        )
    if classes is not None and len(classes) > rows / 2:
        raise ExperimentError(
            f"{path}: --target must have classes that come again, got {len(classes)} in {rows} rows of {target!r}; "
            "numbers are learned with --task regression"
        )


def _unusable(column: Any) -> str | None:
    """Why a column can be no feature whatever the others are."""
    if column.kind == "date":
        return "dates; turn them into numbers to use them (days since a first day, month, weekday)"
    if column.distinct == 0:
        return "no value in any row"
    return MANY if column.kind == "text" and column.distinct >= COUNTED else None


def _names_rows(column: Any, rows: int) -> str | None:
    """Why a column tells rows apart, and has nothing that others could be told by."""
    if column.kind == "text":
        return (
            "another text in nearly every row"
            if column.distinct > rows / 2
            else MANY
            if column.distinct > MOST_CATEGORIES
            else None
        )
    if column.kind != "number" or not column.whole or column.low not in (0.0, 1.0) or column.missing:
        return None
    counted = column.high - column.low == rows - 1 and column.distinct >= min(rows, COUNTED)
    return "the number of the row" if counted else None


def _list(names: Sequence[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
