"""Whether a run can be resumed by an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mytorch.experiments.file.build import build_batches, build_data
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.file.flat import flat
from mytorch.experiments.file.load_experiment import load_experiment
from mytorch.experiments.file.schedules import plan_schedule
from mytorch.experiments.file.sizes import CLASSES
from mytorch.experiments.runs.run_folder import EXPERIMENT_FILE, SETTLED, SUMMARY_FILE, RunFolder
from mytorch.train.checkpoint.checkpoint_file import CHECKPOINT_FILE
from mytorch.train.errors import RunError

FREE = ("epochs", "name", "description", "checkpoint_every")
"""Keys of an experiment that may be others when a run is resumed: they change no step."""
ACCEPTED = ("engine", "device", "threads", "evaluate_every", "metrics", "quantities", "data", "requires")
"""Those that may be others if differences are accepted, or, as the place of the data, if it comes to the same."""


def experiment_of(folder: RunFolder) -> Path:
    """The file of the experiment of a run. Raises RunError for a run that has none."""
    file = folder.path / EXPERIMENT_FILE
    if not folder.path.is_dir():
        raise RunError(f"{folder.path}: must be the folder of a run, such as runs/disk-20260101-120000, got no folder")
    if not file.is_file():
        raise RunError(
            f"{folder.path}: must have an {EXPERIMENT_FILE} to be resumed, got a run trained from Python, or no run; "
            "in Python, fit(resume=FOLDER) goes on with one"
        )
    return file


def has_checkpoint(folder: RunFolder) -> bool:
    """Whether there is something to go on from; a run that ended before begins anew."""
    return (folder.path / CHECKPOINT_FILE).exists()


def is_finished(folder: RunFolder) -> bool:
    """Whether a run has come to its end, figures and all; one may end between its last epoch and that."""
    return _summary(folder).get("status") == "finished"


def to_resume(path: Path, experiment: Experiment, accept: bool) -> RunFolder:
    """The folder of a run that this experiment can go on with. Raises RunError."""
    folder = RunFolder(path)
    file = experiment_of(folder)
    summary = _summary(folder)
    folder.require_unchanged(summary, *SETTLED)
    if not has_checkpoint(folder) and summary.get("status", "running") != "running" and summary.get("epochs"):
        raise RunError(
            f"{path / CHECKPOINT_FILE}: this file is missing, without which a run that is {summary['status']} cannot "
            "be resumed; train it anew"
        )
    before = load_experiment(file)
    _require_same(path, before, experiment, accept)
    if experiment.epochs != before.epochs and experiment.schedule is not None and not accept:
        _require_same_schedule(path, before, experiment)
    return folder


def _summary(folder: RunFolder) -> dict[str, Any]:
    """The summary of a run, which may have been killed before it wrote one."""
    if not (folder.path / SUMMARY_FILE).exists():
        return {}
    content = folder.read_json(SUMMARY_FILE)
    if not isinstance(content, dict):
        raise RunError(f"{folder.path / SUMMARY_FILE}: must hold an object, got {type(content).__name__}")
    return content


def _require_same(path: Path, before: Experiment, now: Experiment, accept: bool) -> None:
    """Raise RunError for keys of the experiment that must be those of the run."""
    old, new = (dict(flat(one.model_dump(exclude_none=True, by_alias=True))) for one in (before, now))
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key) and key.split(".")[0] not in FREE]
    changed = [key for key in changed if not (key.startswith("model.") and new.get(key) == CLASSES)]  # data decide it
    refused = [key for key in changed if key.split(".")[0] not in ACCEPTED]
    if refused:
        told = "; ".join(f"{key} must be {old.get(key)!r}, got {new.get(key)!r}" for key in refused[:5])
        raise RunError(
            f"{path}: must be resumed by the experiment that it was begun with, of which only epochs may change; "
            f"{told}. Train another run for other settings"
        )
    only_data = all(key.split(".")[0] == "data" for key in changed)  # whose rows are compared, wherever they lie
    if changed and not accept and not only_data:
        told = "; ".join(f"{key} must be {old.get(key)!r}, got {new.get(key)!r}" for key in changed[:5])
        raise RunError(
            f"{path}: must be resumed under the conditions that it was begun with; {told}. To go on all the same, "
            "though numbers may differ, accept them with accept_differences=True (--accept-differences)"
        )


def _require_same_schedule(path: Path, before: Experiment, now: Experiment) -> None:
    """Raise RunError for a schedule whose length follows the number of epochs."""
    count = len(build_batches(now, build_data(now).training))
    if plan_schedule(before, count) != plan_schedule(now, count):
        raise RunError(
            f"{path}: schedule must be as long as it was, got one whose length follows the epochs, {before.epochs} "
            f"then and {now.epochs} now, so that the learning rate would jump; accept it "
            "with accept_differences=True (--accept-differences), or train anew"
        )
