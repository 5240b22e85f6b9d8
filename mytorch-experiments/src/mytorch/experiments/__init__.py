"""Experiments: files that say what is trained, runs on disk, predictions, judgements, figures and parity."""

from typing import TYPE_CHECKING

from mytorch.plugins.lazy import lazy

if TYPE_CHECKING:
    from mytorch.experiments.callbacks.recorder import Recorder
    from mytorch.experiments.errors import ExperimentError, ParityError, UnknownKeyError
    from mytorch.experiments.figures.decision_boundary import draw_decision_boundary
    from mytorch.experiments.file.experiment import Experiment
    from mytorch.experiments.file.load_experiment import load_experiment
    from mytorch.experiments.predict.head import Predictions
    from mytorch.experiments.predict.judge import Judgement
    from mytorch.experiments.runs.compare_runs import RunComparison, compare_runs
    from mytorch.experiments.runs.folds import Folds
    from mytorch.experiments.runs.run import Run, judge, load
    from mytorch.experiments.runs.runs import RunSummary, list_runs
    from mytorch.experiments.runs.sample import sample
    from mytorch.experiments.search.search import Search, Trial, search_experiment
    from mytorch.experiments.search.space import parse_over
    from mytorch.experiments.training.train_experiment import resume, train_experiment
    from mytorch.experiments.training.train_folds import train_folds
    from mytorch.train.errors import RunError

__getattr__, __dir__ = lazy(
    __name__,
    {
        "mytorch.experiments.callbacks.recorder": ("Recorder",),
        "mytorch.experiments.errors": ("ExperimentError", "ParityError", "UnknownKeyError"),
        "mytorch.experiments.figures.decision_boundary": ("draw_decision_boundary",),
        "mytorch.experiments.file.experiment": ("Experiment",),
        "mytorch.experiments.file.load_experiment": ("load_experiment",),
        "mytorch.experiments.predict.head": ("Predictions",),
        "mytorch.experiments.predict.judge": ("Judgement",),
        "mytorch.experiments.runs.compare_runs": ("RunComparison", "compare_runs"),
        "mytorch.experiments.runs.folds": ("Folds",),
        "mytorch.experiments.runs.run": ("Run", "judge", "load"),
        "mytorch.experiments.runs.runs": ("RunSummary", "list_runs"),
        "mytorch.experiments.runs.sample": ("sample",),
        "mytorch.experiments.search.search": ("Search", "Trial", "search_experiment"),
        "mytorch.experiments.search.space": ("parse_over",),
        "mytorch.experiments.training.train_experiment": ("resume", "train_experiment"),
        "mytorch.experiments.training.train_folds": ("train_folds",),
        "mytorch.train.errors": ("RunError",),
    },
)

__all__ = [
    "Experiment",
    "ExperimentError",
    "Folds",
    "Judgement",
    "ParityError",
    "Predictions",
    "Recorder",
    "Run",
    "RunComparison",
    "RunError",
    "RunSummary",
    "Search",
    "Trial",
    "UnknownKeyError",
    "compare_runs",
    "draw_decision_boundary",
    "judge",
    "list_runs",
    "load",
    "load_experiment",
    "parse_over",
    "resume",
    "sample",
    "search_experiment",
    "train_experiment",
    "train_folds",
]
