"""Writing an experiment for a user's table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.new.experiment_text import SHOWN, columns_of, comment, named, write_experiment
from mytorch.experiments.new.table_look import Look, look_at
from mytorch.experiments.new.table_recipe import choose_recipe
from mytorch.train.weights import write_text


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
    _require_free(output, force)
    look = look_at(path, target, task, reading or {})
    text = write_experiment(look, choose_recipe(look.rows, look.width, look.task), output, reading or {})
    _require_free(output, force)
    write_text(output, text)
    return look, output


def _require_free(output: Path, force: bool) -> None:
    if output.suffix != ".toml":
        raise ExperimentError(
            f"{output}: an experiment's name must end in .toml, got {output.suffix or 'no suffix'!r}"
        )
    if output.is_dir() or (output.exists() and not force):
        what = "a folder" if output.is_dir() else "a file that exists"
        raise ExperimentError(
            f"{output}: must be a new file, got {what}; choose another with --output, or use --force"
        )
    if not output.parent.is_dir():
        raise ExperimentError(f"{output}: its folder must exist; create it with: mkdir -p {output.parent}")


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
