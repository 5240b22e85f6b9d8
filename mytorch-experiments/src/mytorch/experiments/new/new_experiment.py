"""Writing an experiment for a user's table."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mytorch.data.table.errors import shown
from mytorch.data.table.open_table import require_file, table_suffix
from mytorch.experiments.new.experiment_text import (
    SHOWN,
    columns_of,
    comment,
    missing_told,
    named,
    train_command,
    write_experiment,
)
from mytorch.experiments.new.new_file import new_file, write_new_file
from mytorch.experiments.new.table_look import Choices, Look, look_at
from mytorch.experiments.new.table_recipe import Recipe, choose_recipe


def new_experiment(
    path: str | Path,
    target: str | None = None,
    output: str | Path | None = None,
    *,
    force: bool = False,
    task: str | None = None,
    reading: Mapping[str, Any] | None = None,
    dates: bool = False,
    categories: Sequence[str] = (),
) -> tuple[Look, Path]:
    """Write a commented experiment that learns one column of a table from the others.

    output: the file; NAME.toml for the table NAME.csv if left out.
    task: "classification" or "regression"; by what the target holds if left out.
    reading: options of the Table about how it is read, such as `delimiter`, where they are not the usual ones.
    dates: whether columns of dates become features: year, month, weekday and days since the first.
    categories: columns of numbers that are codes, of which each value becomes a column of 0 and 1.
    Returns what was found and the file. Raises ExperimentError and what the reader raises, before anything is written.
    """
    require_file(path)
    path = Path(path)
    output = new_file(output, path.name.removesuffix(table_suffix(path)), force)
    look = look_at(path, target, Choices(task, reading or {}, dates, tuple(categories)))
    text = write_experiment(look, _recipe(look), output, reading or {})
    write_new_file(output, text, force)
    return look, output


def found(look: Look) -> list[str]:
    """What was found, in a few lines for the terminal."""
    goal = "numbers" if look.classes is None else f"{len(look.classes)} classes ({named(look.classes)})"
    lines = [
        f"{look.path}: {look.rows} rows, {look.task} of {comment(look.target)}: {goal}",
        f"{columns_of(look)} to learn from: {named(look.features)}",
    ]
    if encoded := [*look.text, *look.categories]:
        lines.append(f"Categories, one-hot: {named(encoded)}")
    if look.dates:
        lines.append(f"Dates, by year, month, weekday and days since the first: {named(look.dates)}")
    lines += _missing(look)
    lines += [f"Left out: {comment(name)}: {comment(reason)}" for name, reason in list(look.left_out.items())[:SHOWN]]
    if len(look.left_out) > SHOWN:
        lines.append(f"Left out: {len(look.left_out) - SHOWN} more columns, named in the file")
    if folds := _recipe(look).folds:
        lines.append(f"Few rows, so no test part: --folds {folds} does cross-validation, which tests on each row once")
    return lines + _offers(look)


def train_next(look: Look, path: Path) -> str:
    """The command that trains the experiment that was written."""
    return train_command(_recipe(look), path)


def _recipe(look: Look) -> Recipe:
    return choose_recipe(look.rows, look.width, look.task)


def _missing(look: Look) -> list[str]:
    """What becomes of missing cells, where they are, and what to do if they are none."""
    if not look.missing:
        return []
    text = "text with its most frequent value" if set(look.text) & set(look.gone) else ""
    mean = "the mean of the training rows" if set(look.gone) - set(look.text) else ""
    filled = f"filled with {', '.join(part for part in (mean, text) if part)}"
    done = "rows with one are left out" if look.missing == "drop" else filled.replace("with text with", "with")
    lines = [f"Missing cells: {done}", *(f"  {line}" for line in missing_told(look))]
    marked = [(name, text) for name in look.text for text in look.gone.get(name, ()) if text]
    if marked:
        name, text = marked[0]
        lines.append(
            f"  If {shown(text)} is a value of {comment(name)}: --missing-marker '' makes only empty cells missing"
        )
    return lines


def _offers(look: Look) -> list[str]:
    """What a user may know better than the numbers say."""
    lines = []
    if 0 < len(look.codes) <= SHOWN:
        option = f"--categories {shlex.quote(comment(look.codes[0]))}"
        lines.append(f"Few whole numbers, perhaps codes: {named(look.codes)}; {option} makes a category of each value")
    elif look.codes:  # pixels, counts or ratings, of which no single one is likely a code
        lines.append(
            f"Few whole numbers in each of {len(look.codes)} columns; if one has codes, --categories with its name "
            "makes a category of each value"
        )
    if look.ids:
        lines.append(f"Whole numbers that differ in every row: {named(look.ids)}; if they name rows, leave them out")
    return lines
