"""Training: from Python with `fit`, from an experiment file with `train_experiment`."""

from mytorch.train.batches import Batches
from mytorch.train.class_counts import F1, BalancedAccuracy
from mytorch.train.clip_gradients import clip_gradients
from mytorch.train.compare_runs import RunComparison, compare_runs
from mytorch.train.decision_boundary import draw_decision_boundary
from mytorch.train.early_stopping import EarlyStopping
from mytorch.train.errors import ExperimentError, NotFiniteError, RunError
from mytorch.train.evaluation import evaluate
from mytorch.train.experiment import Experiment
from mytorch.train.explain import Explanation, explain
from mytorch.train.fit import fit
from mytorch.train.head import Predictions
from mytorch.train.judge import Judgement, judge
from mytorch.train.keep_best import KeepBest
from mytorch.train.load_experiment import load_experiment
from mytorch.train.metrics import Accuracy, ErrorRate, MeanAbsoluteError
from mytorch.train.observe import observe
from mytorch.train.roc_auc import ROCAUC
from mytorch.train.runs import RunSummary, list_runs
from mytorch.train.squared_error import R2, MeanSquaredError
from mytorch.train.step import gradients, step
from mytorch.train.step_in_backward import LateGradientError, step_in_backward
from mytorch.train.train_experiment import Run, load, train_experiment
from mytorch.train.training import Training
from mytorch.train.weights import load_model, save_model

__all__ = [
    "F1",
    "R2",
    "ROCAUC",
    "Accuracy",
    "BalancedAccuracy",
    "Batches",
    "EarlyStopping",
    "ErrorRate",
    "Experiment",
    "ExperimentError",
    "Explanation",
    "Judgement",
    "KeepBest",
    "LateGradientError",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "NotFiniteError",
    "Predictions",
    "Run",
    "RunComparison",
    "RunError",
    "RunSummary",
    "Training",
    "clip_gradients",
    "compare_runs",
    "draw_decision_boundary",
    "evaluate",
    "explain",
    "fit",
    "gradients",
    "judge",
    "list_runs",
    "load",
    "load_experiment",
    "load_model",
    "observe",
    "save_model",
    "step",
    "step_in_backward",
    "train_experiment",
]
