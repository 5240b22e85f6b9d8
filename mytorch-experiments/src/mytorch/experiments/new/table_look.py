"""Looking at a user's table: what can be learned from which columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mytorch.data import Table, inspect_table
from mytorch.data.table.errors import cut, shown
from mytorch.data.table.open_table import open_table
from mytorch.data.table.reading import Reading, typed
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
FEW_CODES = 20
"""Whole numbers with at most so many values, five rows each on average, may be codes of categories."""
TOLD = 8
"""Columns whose reasons an error tells."""
MOST_WORDS = 3
"""Different texts in a column of numbers that are told, as they may stand for missing cells."""
USUAL_TARGETS = ("target", "class", "label", "y")


@dataclass(frozen=True)
class Look:
    """What was found in a table.

    features: the columns to learn from, in the order of the file.  left_out: why others are not among them.
    text: the features of text.  incomplete: the features with missing cells.
    missing: what becomes of missing cells, None if there are none.
    gone: for each feature with missing cells, how many there are, by the text that stands in them.
    dates: the features of dates.  categories: features of numbers that are taken for categories.
    codes: features of few whole numbers, which may be codes.  ids: those of whole numbers that differ in every row.
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
    dates: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    gone: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """What is to be learned."""
        return "regression" if self.classes is None else "classification"


@dataclass(frozen=True)
class Choices:
    """What a user decides beside the target.

    reading: how the file is read, as options of a Table.  dates: whether features are made of dates.
    categories: columns of numbers that are codes.
    """

    task: str | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    dates: bool = False
    categories: tuple[str, ...] = ()


def look_at(path: Path, target: str | None, choices: Choices) -> Look:
    """Look at a table through mytorch-data's reader.

    Raises ExperimentError for a target that cannot be learned, and what the reader raises for the file.
    """
    columns = {column.name: column for column in inspect_table(path, **choices.reading)}
    source = open_table(path, Reading(**choices.reading))
    _require_few(path, columns)
    target = _target(source, target)
    goal = columns.pop(target)
    _require_learnable(path, goal)
    _require_categories(path, columns, choices.categories)
    missing = "drop" if goal.missing else "mean" if any(column.missing for column in columns.values()) else None
    left_out = {f"column {number}": "it has no name in the first line" for number in source.unnamed}
    read = partial(_read, path, target, missing, choices)
    left_out |= _left_out(path, target, columns, read, choices)
    used = [column for name, column in columns.items() if name not in left_out]
    whole = read(used)
    _require_rows(path, goal, len(whole), whole.classes)
    text, incomplete = _names(used, lambda column: column.kind == "text"), _names(used, lambda column: column.missing)
    numbers = [column for column in used if column.kind == "number" and column.name not in choices.categories]
    return Look(
        path,
        target,
        _names(used),
        left_out,
        text,
        incomplete,
        missing if incomplete or goal.missing else None,
        len(whole.columns),
        len(whole),
        whole.classes,
        _names(used, lambda column: column.kind == "date"),
        _names(used, lambda column: column.name in choices.categories),
        _names(numbers, lambda column: _may_be_codes(column, len(whole))),
        _names(numbers, lambda column: _differs_in_every_row(column, len(whole))),
        {column.name: column.gone for column in used if column.missing},
    )


def _read(path: Path, target: str, missing: str | None, choices: Choices, used: Sequence[Any]) -> Table:
    """The table with some columns as features."""
    categories = _names(used, lambda column: column.name in choices.categories)
    return Table(
        path,
        target,
        features=[column.name for column in used],
        task=choices.task,
        missing=missing,
        encode=encode_of(_names(used, lambda column: column.kind == "text"), categories),
        dates="parts" if choices.dates else None,
        **choices.reading,
    )


def encode_of(text: Sequence[str], categories: Sequence[str]) -> str | dict[str, str]:
    """What a Table is told of text and of columns that are categories."""
    return dict.fromkeys([*text, *categories], "one-hot") if categories else "one-hot"


def _names(columns: Sequence[Any], wanted: Callable[[Any], Any] = bool) -> tuple[str, ...]:
    return tuple(column.name for column in columns if wanted(column))


def _require_few(path: Path, columns: Collection[str]) -> None:
    if len(columns) > MOST_COLUMNS:
        raise ExperimentError(
            f"{path}: must have at most {MOST_COLUMNS} columns, got {len(columns)}; keep those that matter, "
            "or write the experiment by hand"
        )


def _left_out(
    path: Path, target: str, columns: Mapping[str, Any], read: Callable[..., Any], choices: Choices
) -> dict[str, str]:
    """The columns that are no features, and why. Raises ExperimentError if none is one."""
    left_out = {name: reason for name, column in columns.items() if (reason := _unusable(column, choices.dates))}
    usable = [column for name, column in columns.items() if name not in left_out]
    if usable:
        simplest = min(usable, key=lambda column: column.distinct if column.kind == "text" else 0)
        rows = len(read([simplest]))
        others = [column for column in usable if column.name not in choices.categories]
        left_out |= {column.name: reason for column in others if (reason := _names_rows(column, rows))}
    if len(left_out) < len(columns):
        return {name: left_out[name] for name in columns if name in left_out}
    told = [f"{cut(name)} ({reason})" for name, reason in list(left_out.items())[:TOLD]]
    more = [f"{len(left_out) - TOLD} more"] if len(left_out) > TOLD else []
    got = ", ".join([*told, *more]) or "no other"
    raise ExperimentError(f"{path}: must have a column to learn {shown(target)} from, got {got}")


def _target(source: Any, target: str | None) -> str:
    path, names = source.path, source.names
    if len(names) == 1 and (other := source.fitting()):
        raise ExperimentError(
            f"{path}: must have several columns, got one, {shown(names[0])}; {typed(other)} fits every row"
        )
    if target is None:
        usual = [name for name in names if name.lower() in USUAL_TARGETS]
        if len(usual) == 1:
            return str(usual[0])
        raise ExperimentError(
            f"{path}: the column to be predicted must be named with --target, got none. Columns: {_list(names)}"
        )
    if target.strip() not in names:
        raise ExperimentError(f"{path}: --target must be a column, got {shown(target)}. {_nearest(target, names)}")
    return target.strip()


def _require_categories(path: Path, columns: Mapping[str, Any], categories: Sequence[str]) -> None:
    for name in categories:
        if name not in columns:
            raise ExperimentError(
                f"{path}: --categories must name columns beside the target, got {shown(name)}. "
                f"{_nearest(name, list(columns))}"
            )


def _nearest(name: str, names: Sequence[str]) -> str:
    told = nearest(name, names)
    return told if told.startswith("Nearest") else f"Known: {_list(names)}."


def _require_learnable(path: Path, goal: Any) -> None:
    """Raise ExperimentError for a target of dates, or one that is the same in every row."""
    if goal.kind == "date":
        raise ExperimentError(
            f"{path}: --target must be classes or numbers, got dates in {shown(goal.name)}, such as "
            f"{cut(goal.examples[0])}; turn them into numbers first, such as days since a first day"
        )
    if goal.distinct < 2:
        got = f"{shown(goal.examples[0])} in every row" if goal.examples else "no value at all"
        raise ExperimentError(
            f"{path}: --target must have at least two classes or different numbers, got {got} of {shown(goal.name)}; "
            "there is nothing to learn"
        )


def _require_rows(path: Path, goal: Any, rows: int, classes: tuple[str, ...] | None) -> None:
    if rows < FEWEST_ROWS:
        raise ExperimentError(
            f"{path}: must have at least {FEWEST_ROWS} rows with a value of {shown(goal.name)}, got {rows}; "
            "some are held back for validation and test"
        )
    if classes is not None and len(classes) > rows / 2:
        raise ExperimentError(
            f"{path}: --target must have classes that come again, got {len(classes)} in {rows} rows of "
            f"{shown(goal.name)}; {_no_numbers(goal) or 'numbers are learned with --task regression'}"
        )


def _unusable(column: Any, dates: bool) -> str | None:
    """Why a column can be no feature whatever the others are."""
    if column.distinct == 0:
        return "no value in any row"
    if column.kind == "date" and not dates:
        return "dates; --dates uses their year, month, weekday and the days since the first"
    if column.distinct == 1:
        return f"the same value in every row{' that has one' if column.missing else ''}"
    if column.kind == "text" and (reason := _no_numbers(column)):
        return reason
    return MANY if column.kind == "text" and column.distinct >= COUNTED else None


def _no_numbers(column: Any) -> str | None:
    """Why a column of text should be one of numbers, and which option makes it one."""
    if column.reading:
        return f"numbers written as {shown(column.examples[0])}; {typed(column.reading)} reads them"
    if not column.words:
        return None
    rows = sum(column.words.values())
    if len(column.words) > MOST_WORDS:
        texts = f"{len(column.words)} different texts in {rows} rows, such as {shown(next(iter(column.words)))}"
        return f"a number column but for {texts}"
    told = " and ".join(f"{shown(word)} in {count} row{'s' * (count > 1)}" for word, count in column.words.items())
    markers = {"missing_markers": [*filter(None, column.gone), *column.words]}
    return f"a number column but for {told}; {typed(markers)} takes {'it' if rows == 1 else 'them'} for missing"


def _names_rows(column: Any, rows: int) -> str | None:
    """Why a column tells rows apart, and has nothing that others could be told by."""
    if column.distinct > rows / 2 and _ID.search(column.name) and (column.kind == "text" or column.whole):
        return "the name of each row, as its own name says"
    if column.kind == "text":
        return (
            "text that differs in nearly every row"
            if column.distinct > rows / 2
            else MANY
            if column.distinct > MOST_CATEGORIES
            else None
        )
    if column.kind != "number" or not column.whole or column.low not in (0.0, 1.0) or column.missing:
        return None
    counted = column.high - column.low == rows - 1 and column.distinct >= min(rows, COUNTED)
    return "the number of the row" if counted else None


_ID = re.compile(r"(?i:(^|[_ .-])(id|uuid|guid|key|index)$)|[a-z](Id|ID)$")
"""Names that say of themselves that their values name rows."""


def _may_be_codes(column: Any, rows: int) -> bool:
    return bool(column.whole and 2 < column.distinct <= min(FEW_CODES, rows / 5))


def _differs_in_every_row(column: Any, rows: int) -> bool:
    return bool(column.whole and not column.missing and column.distinct >= rows and rows <= COUNTED)


def _list(names: Sequence[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(cut, names[:most])) + more
