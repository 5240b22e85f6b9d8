"""Writing an experiment for a user's table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mytorch.experiments.new.experiment_text import SHOWN, columns_of, comment, named, write_experiment
from mytorch.experiments.new.table_look import Look, look_at
from mytorch.experiments.new.table_recipe import choose_recipe
from mytorch.plugins import refuse_overwrite, write_file


def new_experiment(
    path: str | Path,
    target: str | None = None,
    output: str | Path | None = None,
    *,
    force: bool = False,
    task: str | None = None,
    reading: Mapping[str, Any] | None = None,
) -> tuple[Look, Path]:
    """Write a commented experiment that learns one column of a table from the others.

    output: the file; NAME.toml for the table NAME.csv if left out.
    task: "classification" or "regression"; by what the target holds if left out.
    reading: `delimiter`, `decimal` and `encoding` of the table, where they are not the usual ones.
    Returns what was found and the file. Raises ExperimentError and what the reader raises, before anything is written.
    """
    path = Path(path)
    output = Path(f"{path.stem}.toml" if output is None else output)
    refuse_overwrite(output, force, suffixes=(".toml",))
    look = look_at(path, target, task, reading or {})
    text = write_experiment(look, choose_recipe(look.rows, look.width, look.task), output, reading or {})
    refuse_overwrite(output, force, suffixes=(".toml",))
    write_file(output, text)
    return look, output


def found(look: Look) -> list[str]:
    """What was found, in a few lines for the terminal."""
    goal = "numbers" if look.classes is None else f"{len(look.classes)} classes ({named(look.classes)})"
    lines = [
        f"{look.path}: {look.rows} rows, {look.task} of {comment(look.target)}: {goal}",
        f"{columns_of(look)} to learn from: {named(look.features)}",
    ]
    if look.text:
        lines.append(f"Text, one-hot: {named(look.text)}")
    if look.missing:
        done = "rows with one are left out" if look.missing == "drop" else "filled with the mean of the training rows"
        lines.append(f"Missing cells: {done}")
    return lines + [f"Left out: {comment(name)}: {reason}" for name, reason in list(look.left_out.items())[:SHOWN]]
