"""Cross-validation: an experiment once for each fold of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from mytorch.core import ArgumentError, require_path
from mytorch.experiments.file.build import without_split_warnings
from mytorch.experiments.file.experiment import Experiment, Split
from mytorch.experiments.file.load_experiment import load_experiment
from mytorch.experiments.runs.folds import Folds
from mytorch.experiments.runs.run_folder import RunFolder
from mytorch.experiments.training.train_experiment import train_experiment
from mytorch.train.parallel import require_alone


def train_folds(
    source: str | Path | Mapping[str, Any] | Experiment,
    overrides: Mapping[str, Any] | None = None,
    *,
    folds: int = 5,
    output: str | Path = "runs",
    quiet: bool = False,
    trace_hooks: Callable[[str], object] | None = None,
) -> Folds:
    """Train an experiment once for each fold: the fold is the test part, and the other rows are trained on.

    The rows are those of `data.train`; a test part of the experiment is not used. A share for validation is taken from
    the rows outside the fold. Every fold has the same shares of the classes, and what is fitted to the rows, such as
    standardisation, is fitted again each time. A warning names rare classes at the first fold only. The runs are in
    one new folder in `output`, whose summary is `folds.json`.
    Raises ArgumentError for fewer than two folds, and what `train_experiment` raises.
    """
    if type(folds) is not int or folds < 2:
        raise ArgumentError(f"train_folds: folds must be a whole number of at least 2, got {folds!r}")
    require_alone("train_folds")
    experiment = source if isinstance(source, Experiment) else load_experiment(source, overrides)
    parts = [_with_fold(experiment, folds, fold) for fold in range(1, folds + 1)]
    found = Folds(
        RunFolder.create(require_path("train_folds", "output", output), f"{experiment.name}-folds").path, folds
    )
    try:
        for fold, part in enumerate(parts, 1):
            found.write()
            with nullcontext() if fold == 1 else without_split_warnings():  # each fold has about as many of a class
                run = train_experiment(part, output=found.path, quiet=quiet, trace_hooks=trace_hooks)
            found.runs.append(run.path.name)
            found.results.append(run.summary["test"])
            found.seconds += run.summary["seconds"]
        found.status = "finished"
    except BaseException as error:
        found.status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        raise
    finally:
        found.write()
    return found


def _with_fold(experiment: Experiment, folds: int, fold: int) -> Experiment:
    split = experiment.data.split or Split(folds=folds, fold=fold)
    split = split.model_copy(update={"test": None, "folds": folds, "fold": fold})
    data = experiment.data.model_copy(update={"test": None, "split": split})
    return experiment.model_copy(update={"name": f"fold-{fold}", "data": data})
