"""The runs that a folder holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mytorch.core import require_path
from mytorch.experiments.runs.columns import PARTS
from mytorch.experiments.runs.digests import require_present
from mytorch.experiments.runs.folds import FOLDS_FILE, Folds
from mytorch.experiments.runs.run_folder import EXPERIMENT_FILE, HISTORY_FILE, SETTLED, SUMMARY_FILE, RunFolder
from mytorch.experiments.runs.run_lock import is_alive
from mytorch.experiments.runs.weights_epoch import weights_epoch
from mytorch.plugins import cut, one_line, shown
from mytorch.train.errors import RunError
from mytorch.train.weights import MODEL_FILE, WEIGHTS_FILE

DAMAGED, DIED = "damaged", "died"
STARTED = re.compile(r"-(\d{8}-\d{6})(-\d+)?$")


@dataclass
class RunSummary:
    """One run of a list.

    when: its start, by its name; of a folder with another name, when its model was first written.
    status: running, finished, interrupted, failed, died if its process is gone, or damaged; `reason` says more.
    judged_on: "test", "validation" or "train", which `figures` are of: the last loss and metrics by name.
    folds: how many folds a cross-validation has, of which `figures` are the means and `deviations` the standard
        deviations; None for a single run.
    """

    path: Path
    when: datetime
    status: str
    reason: str | None = None
    epochs: int | None = None
    seconds: float | None = None
    judged_on: str | None = None
    figures: dict[str, float | None] = field(default_factory=dict)
    folds: int | None = None
    deviations: dict[str, float] = field(default_factory=dict)
    weights_epoch: int | None = None
    """After how many epochs its weights were written."""

    def as_data(self) -> dict[str, Any]:
        """The run as JSON holds it."""
        kept = {name: value for name, value in vars(self).items() if name not in ("path", "when")}
        return {"name": self.path.name, "path": str(self.path), "when": self.when.isoformat(), **kept}


def list_runs(folder: str | Path) -> list[RunSummary]:
    """List the runs directly in a folder, newest first; a damaged one is listed as such. Raises RunError."""
    folder = require_path("list_runs", "folder", folder)
    if not folder.is_dir():
        raise RunError(f"{folder}: must be a folder that holds runs, got no folder; make one with: mytorch train disk")
    if (folder / SUMMARY_FILE).is_file():
        raise RunError(f"{folder}: must be a folder that holds runs, got a run; list its parent {folder.parent}")
    marks = (SUMMARY_FILE, EXPERIMENT_FILE, MODEL_FILE, FOLDS_FILE)
    try:
        found = [path for path in folder.iterdir() if any((path / mark).is_file() for mark in marks)]
    except OSError as error:
        raise RunError(f"{folder}: must be a folder that can be read, got {one_line(error)}") from error
    return sorted(map(summarise, found), key=lambda run: (run.when, run.path.name), reverse=True)


def summarise(path: Path) -> RunSummary:
    """What a run came to, as far as its folder tells."""
    when = started(path)
    try:
        if (path / FOLDS_FILE).is_file():
            return _summary_of_folds(Folds.read(path), when)
        folder = RunFolder.open(path)
        summary = folder.read_json(SUMMARY_FILE)
        if not isinstance(summary, dict) or not isinstance(summary.get("status"), str):
            raise RunError(f"{path / SUMMARY_FILE}: must hold an object with the status of a run")
        folder.require_unchanged(summary, *SETTLED, HISTORY_FILE)
        require_present(path, summary, WEIGHTS_FILE)  # which may be large, and is compared when the run is opened
        record = last_record(folder, summary)
    except RunError as error:
        return RunSummary(path, when, DAMAGED, str(error))
    part, figures = figures_of(record)
    epochs, seconds = summary.get("epochs"), summary.get("seconds")
    status, reason = summary["status"], summary.get("reason")
    if status == "running":
        history = folder.history()
        epochs, seconds = len(history), sum(line.get("seconds", 0.0) for line in history)
        status, reason = _alive(path, summary.get("process"))
    return RunSummary(path, when, status, reason, epochs, seconds, part, figures, weights_epoch=weights_epoch(path))


def _alive(path: Path, process: Any) -> tuple[str, str | None]:
    """The status of a run that its summary calls running, and what there is to say."""
    where = f"process {process.get('pid')} on {process.get('host')}" if isinstance(process, dict) else "its process"
    alive = is_alive(path, process)
    if alive is None:
        return "running", f"{where}, as far as can be told from here"
    return ("running", None) if alive else (DIED, f"{where} is gone; go on with: mytorch resume {path}")


def _summary_of_folds(folds: Folds, when: datetime) -> RunSummary:
    spreads = folds.spreads
    return RunSummary(
        folds.path,
        when,
        folds.status,
        seconds=folds.seconds,
        judged_on="test" if spreads else None,
        figures={name: spread.mean for name, spread in spreads.items()},
        folds=folds.folds,
        deviations={name: spread.deviation for name, spread in spreads.items()},
    )


def last_record(folder: RunFolder, summary: Mapping[str, Any]) -> dict[str, Any]:
    """The last known value of each column of the history; if a callback kept the weights of an epoch, those of it.

    What the test part said of the kept weights stands beside them, under the names `test_loss` and so on.
    """
    tested = _object(folder, summary, "test")
    return _last_record(folder, summary) | {f"test_{name}": value for name, value in tested.items()}


def _last_record(folder: RunFolder, summary: Mapping[str, Any]) -> dict[str, Any]:
    last, best = _object(folder, summary, "last"), summary.get("best")
    if isinstance(best, dict):
        return next((dict(line) for line in folder.history() if line.get("epoch") == best.get("epoch")), last)
    record: dict[str, Any] = {}
    if summary["status"] != "finished":  # then the last epoch may lack what is taken every few epochs
        for line in folder.history():
            record |= line
    return record | last


def _object(folder: RunFolder, summary: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = summary.get(name) or {}
    if not isinstance(found, dict):
        raise RunError(f"{folder.path / SUMMARY_FILE}: {name} must be an object, got {type(found).__name__}")
    for key, value in found.items():
        if value is not None and not isinstance(value, (int, float)):
            at = f"{name}.{cut(key, 80)}"
            raise RunError(f"{folder.path / SUMMARY_FILE}: {at} must be a number, got {shown(value)}")
    return found


def figures_of(record: Mapping[str, Any]) -> tuple[str | None, dict[str, float | None]]:
    """The loss and metrics of a record on the test part, or else on the validation part, or on the training part."""
    for part in reversed(PARTS):
        figures = {
            name.removeprefix(f"{part}_"): value for name, value in record.items() if name.startswith(f"{part}_")
        }
        if figures:
            return part, dict(sorted(figures.items(), key=lambda item: item[0] != "loss"))
    return None, {}


def started(path: Path) -> datetime:
    """When a run began, in local time."""
    if name := STARTED.search(path.name):
        try:
            return datetime.strptime(name[1], "%Y%m%d-%H%M%S")
        except ValueError:
            pass
    written = [file.stat().st_mtime for mark in (MODEL_FILE, SUMMARY_FILE) if (file := path / mark).is_file()]
    return datetime.fromtimestamp(min(written, default=path.stat().st_mtime)).replace(microsecond=0)
