"""Reading exercises from files."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from mytorch.experiments.file.wording import rule_of, way_out
from mytorch.playground.exercises.exercise import Exercise
from mytorch.plugins import ArgumentError, nearest, one_line, parse_toml, shown

FILES = Path(__file__).parent / "files"
LARGEST = 200_000
"""Bytes of a file."""
Exercises = dict[str, Exercise]
"""Exercises by name: what a file is called, without the number in front by which files are put in order."""


@cache
def shipped_exercises() -> Exercises:
    """The exercises that come with the playground."""
    return load_exercises(FILES)


def load_exercises(folder: Path) -> Exercises:
    """The exercises of a folder, one a file, in the order of the files' names.

    Raises ArgumentError with a line for each file that holds none, and for a folder without files.
    """
    if not folder.is_dir():
        got = "a file" if folder.exists() else "nothing"
        raise ArgumentError(f"exercises: must be a folder of TOML files, got {got} at {folder}")
    found: Exercises = {}
    faults = []
    for file in sorted(folder.glob("*.toml")):
        try:
            name = file.stem.lstrip("0123456789").lstrip("-_ ") or file.stem
            if name in found:
                raise ArgumentError(f"exercises: {file.name}: name must be of one file, got a second {name!r}")
            found[name] = load_exercise(file)
        except ArgumentError as error:
            faults.append(str(error))
    if faults:
        raise ArgumentError("\n".join(faults))
    if not found:
        raise ArgumentError(f"exercises: {folder} must have a TOML file for each exercise, got none")
    return found


def load_exercise(file: Path) -> Exercise:
    """The exercise of a file. Raises ArgumentError with a line for each of its faults."""
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"more than {LARGEST:,} bytes")
        content = parse_toml(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        got = getattr(error, "strerror", None) or one_line(error)
        raise ArgumentError(f"exercises: {file.name}: must be a TOML file, got {got}") from None
    try:
        return Exercise.model_validate(content)
    except ValidationError as error:
        raise ArgumentError("\n".join(_told(file.name, error))) from None


def _told(name: str, error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False):
        place = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            yield f"exercises: {name}: {place}: unknown key. {nearest(place, list(Exercise.model_fields))}"
        elif problem["type"] == "missing":
            yield f"exercises: {name}: {place}: must be given"
        elif problem["type"] == "value_error":
            yield f"exercises: {name}: {problem['ctx']['error']}"
        else:
            got = shown(problem["input"])
            yield f"exercises: {name}: {place}: must be {rule_of(problem)}, got {got}{way_out(problem)}"
