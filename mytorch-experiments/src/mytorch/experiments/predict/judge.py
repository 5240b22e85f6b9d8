"""Judging a kept run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mytorch.core import fetch, metric_name
from mytorch.data.preparation.encoded_targets import EncodedTargets
from mytorch.experiments.file.build import build_data, build_metrics, build_part, default_dtype, threads
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.predict.judgement import Confusion, Judge, Residuals
from mytorch.experiments.predict.new_rows import rows_of, table_preparation
from mytorch.experiments.predict.prediction import head_of
from mytorch.experiments.runs.run_folder import EXPERIMENT_FILE
from mytorch.train.errors import RunError
from mytorch.train.evaluation import evaluate

if TYPE_CHECKING:
    from mytorch.experiments.runs.run import Run


@dataclass
class Judgement:
    """What a run is worth on some rows.

    results: the loss and each metric, by name.
    rows, source: how many rows, and which.
    confusion: of a model that tells classes; residuals: of one that gives numbers; both None if its output is neither.
    skipped: rows that count in `results` alone, since their output or target is not finite or no class.
    """

    results: dict[str, float]
    rows: int
    source: str
    confusion: Confusion | None
    residuals: Residuals | None
    skipped: int

    def as_data(self) -> dict[str, Any]:
        """Everything as JSON holds it: `results`, and beside them what is known of classes or numbers."""
        found: dict[str, Any] = dict(self.results)
        if self.confusion is not None:
            found["calibration_error"] = self.confusion.calibration_error
            found["confusion"] = {"classes": list(self.confusion.classes), "counts": self.confusion.counts.tolist()}
        if self.residuals is not None:
            found["residuals"] = self.residuals.statistics()
        return found | {"rows": self.rows}


def judge(run: Run, source: str | Path | Any = None) -> Judgement:
    """Judge a run on the test data of its experiment (its training data if it has no other), or on other rows.

    source: a file, read with what the run keeps, or a data set with targets.
    Raises RunError for a run without an experiment, or for rows without targets.
    """
    experiment = run.experiment
    if experiment is None:
        raise RunError(
            f"{run.path}: must have an {EXPERIMENT_FILE} to be evaluated, got a run trained from Python; "
            "use mytorch.train.evaluate(run.net, loss, data, metrics)"
        )
    gathered = Judge(head_of(run), _target_name(run))
    with threads(experiment.threads), default_dtype(experiment.dtype):
        data, what = _rows_to_judge(run, experiment, source)
        loss = build_part("loss", "loss", experiment.loss)
        results = evaluate(run.net, loss, data, [*build_metrics(experiment), gathered])
    results.pop(metric_name(gathered))
    return Judgement(results, len(data), what, gathered.confusion, gathered.residuals, gathered.skipped)


def _rows_to_judge(run: Run, experiment: Experiment, source: str | Path | Any) -> tuple[Any, str]:
    """The rows with the targets that the loss takes, and what they are."""
    if source is None:
        train, test = build_data(experiment)
        return (train, "training data") if test is None else (test, "test data")
    data = rows_of(run, source, targets=True)
    what = str(source) if isinstance(source, (str, Path)) else type(source).__name__
    if not len(data):
        raise RunError(f"{what}: must have at least one row, got none")
    if fetch(data, torch.tensor([0]))[1] is None:
        raise RunError(f"{what}: must have the column {_target_name(run)!r} to judge by, got a table without")
    encoding = experiment.data.targets
    if encoding not in ("one-hot", "binary"):
        return data, what
    count = 2 if encoding == "binary" else len(run.data.get("classes") or ()) or None
    return EncodedTargets(data, encoding, getattr(torch, experiment.dtype), count), what


def _target_name(run: Run) -> str:
    """The name of the target's column."""
    try:
        return str(table_preparation(run)["table"]["target"]["name"])
    except (RunError, KeyError, TypeError):
        return "target"
