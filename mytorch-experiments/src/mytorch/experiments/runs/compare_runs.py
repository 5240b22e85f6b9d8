"""Two runs side by side."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mytorch.core import require_path
from mytorch.experiments.file.build import build_metrics
from mytorch.experiments.file.flat import flat
from mytorch.experiments.file.load_experiment import load_experiment, read_toml
from mytorch.experiments.predict.judge import directions
from mytorch.experiments.runs.columns import PARTS, quantity_of
from mytorch.experiments.runs.run_folder import EXPERIMENT_FILE, SUMMARY_FILE, RunFolder
from mytorch.experiments.runs.runs import last_record
from mytorch.plugins import MytorchError
from mytorch.train.errors import RunError

ABSENT = "-"
BACKPROPAGATION = "backpropagation"
SAME_ROWS = ("standardize", "targets", "features", "encode", "unseen", "dates", "day_first", "missing_indicators")
"""Keys of data, and of a Table, that change what a model gets of the rows, and not which rows they are."""


@dataclass
class Figure:
    """One final number of both runs.

    better: "a" or "b"; None if they are equal, if nothing says which direction is good, or if they cannot be
        compared: values of different losses, or of different rows.
    """

    name: str
    a: float | None
    b: float | None
    better: str | None


@dataclass
class RunComparison:
    """The differences between two runs and between their results.

    differences: the dotted key of the experiment, and its value in each run; "-" where it is absent.
    other_rows: for each part of the data whose rows differ between the runs, the keys that cause it.
    """

    a: Path
    b: Path
    differences: list[tuple[str, str, str]]
    figures: list[Figure]
    histories: tuple[list[dict[str, float]], list[dict[str, float]]]
    other_rows: dict[str, list[str]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, str]:
        """What to call the runs: their folders, with the way there if those are called the same."""
        return (self.a.name, self.b.name) if self.a.name != self.b.name else (str(self.a), str(self.b))


def compare_runs(a: str | Path, b: str | Path) -> RunComparison:
    """Compare two run folders. Raises RunError for a folder that is not a run, or is damaged."""
    first, second = (RunFolder.open(require_path("compare_runs", name, path)) for name, path in (("a", a), ("b", b)))
    keys = [{key: _text(value) for key, value in flat(_content(folder))} for folder in (first, second)]
    _name_backpropagation(keys)
    differences = [
        (key, ours, theirs)
        for key in dict.fromkeys([*keys[0], *keys[1]])
        if (ours := keys[0].get(key, ABSENT)) != (theirs := keys[1].get(key, ABSENT))
    ]
    records = [_numbers(folder) for folder in (first, second)]
    higher = {**directions_of(first.path), **directions_of(second.path)}
    differing = [key for key, _, _ in differences]
    if any(key == "data.targets" or key.split(".")[0] == "loss" for key in differing):
        del higher["loss"]  # values of different losses cannot be compared
    known = {*keys[0], *keys[1]}
    other_rows = {part: found for part in PARTS if (found := _of_other_rows(part, differing, known))}
    figures = [
        _figure(name, records[0].get(name), records[1].get(name), {} if name.split("_")[0] in other_rows else higher)
        for name in dict.fromkeys([*records[0], *records[1]])
    ]
    return RunComparison(
        first.path, second.path, differences, figures, (first.history(), second.history()), other_rows
    )


def _name_backpropagation(keys: list[dict[str, str]]) -> None:
    """Let a run without a learning rule say so, where the other one has a rule."""
    for key in ("rule.type", "rule"):
        if any(key in each for each in keys):
            for each in keys:
                each.setdefault(key, BACKPROPAGATION)


def _of_other_rows(part: str, differing: Sequence[str], known: Collection[str]) -> list[str]:
    """The differing keys by which a part of the data has other rows: those of its own data set, if one of the runs has
    that, and otherwise those of the data set from which it is split.
    """
    own = any(key.startswith(f"data.{part}.") for key in known) and part != "train"
    places = [f"data.{part}."] if own else ["data.train.", "data.split."]
    return [key for key in differing if key.startswith(tuple(places)) and key.split(".")[2] not in SAME_ROWS]


def directions_of(path: Path) -> dict[str, bool]:
    """Whether higher is better, for the loss and each metric of a run whose part is installed."""
    try:
        return directions(build_metrics(load_experiment(path / EXPERIMENT_FILE)))
    except MytorchError:  # a run of parts that are gone can still be compared
        return directions([])


def _content(folder: RunFolder) -> dict[str, Any]:
    """The resolved experiment; of a run trained from Python, what its summary tells of it."""
    file = folder.path / EXPERIMENT_FILE
    if file.is_file():
        return read_toml(file)
    kept = ("loss", "optimizer", "rule", "epochs_planned")
    return {name: value for name, value in _summary(folder).items() if name in kept}


def _summary(folder: RunFolder) -> dict[str, Any]:
    summary = folder.read_json(SUMMARY_FILE)
    if not isinstance(summary, dict) or "status" not in summary:
        raise RunError(f"{folder.path / SUMMARY_FILE}: must hold an object with the status of a run")
    return summary


def _numbers(folder: RunFolder) -> dict[str, Any]:
    """The final numbers of a run."""
    summary = _summary(folder)
    last = {name: value for name, value in last_record(folder, summary).items() if quantity_of(name) is not None}
    return {"epochs": summary.get("epochs"), "seconds": summary.get("seconds"), **last}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _figure(name: str, a: Any, b: Any, directions: Mapping[str, bool]) -> Figure:
    quantity = quantity_of(name)
    better = None
    if quantity is not None and quantity in directions and a is not None and b is not None and a != b:
        better = "a" if (a > b) == directions[quantity] else "b"
    return Figure(name, a, b, better)
