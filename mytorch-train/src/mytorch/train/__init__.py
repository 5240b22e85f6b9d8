"""Training from Python: the loop, its steps and engines, metrics, callbacks and explanations."""

from mytorch.train.accumulate import step_accumulated
from mytorch.train.averaged_weights import AveragedWeights
from mytorch.train.batches import Batches
from mytorch.train.callbacks.early_stopping import EarlyStopping
from mytorch.train.callbacks.ema import EMA
from mytorch.train.callbacks.keep_best import KeepBest
from mytorch.train.callbacks.swa import SWA
from mytorch.train.checkpoint.checkpoint_file import read_checkpoint
from mytorch.train.clip_gradients import clip_gradient_values, clip_gradients
from mytorch.train.completion import LateGradientError, completion
from mytorch.train.errors import Interrupted, NotFiniteError, RankError, RunError
from mytorch.train.evaluation import evaluate
from mytorch.train.explain import Explanation, explain, explain_setup
from mytorch.train.fit import fit
from mytorch.train.gradients import gradients
from mytorch.train.lr_range import LRRange, lr_range_test
from mytorch.train.mean_loss import MeanLoss
from mytorch.train.memory.mapped import on_disk
from mytorch.train.metrics.class_counts import F1, BalancedAccuracy, IoU, Precision, Recall
from mytorch.train.metrics.log_loss import LogLoss
from mytorch.train.metrics.metrics import Accuracy, ErrorRate, MeanAbsoluteError
from mytorch.train.metrics.multilabel import ExactMatch, HammingLoss, MultilabelF1
from mytorch.train.metrics.perplexity import Perplexity
from mytorch.train.metrics.roc_auc import ROCAUC
from mytorch.train.metrics.squared_error import R2, MeanSquaredError, RootMeanSquaredError
from mytorch.train.metrics.top_k import TopKAccuracy
from mytorch.train.observe import observe
from mytorch.train.precision import PrecisionWarning
from mytorch.train.privacy import Privacy
from mytorch.train.setup import Setup
from mytorch.train.step import step
from mytorch.train.step_in_backward import step_in_backward
from mytorch.train.summary import Summary, summary
from mytorch.train.training import Training
from mytorch.train.update_bn import update_bn
from mytorch.train.warm_start import WarmStart, warm_start
from mytorch.train.weights import load_model, save_model

__all__ = [
    "EMA",
    "F1",
    "R2",
    "ROCAUC",
    "SWA",
    "Accuracy",
    "AveragedWeights",
    "BalancedAccuracy",
    "Batches",
    "EarlyStopping",
    "ErrorRate",
    "ExactMatch",
    "Explanation",
    "HammingLoss",
    "Interrupted",
    "IoU",
    "KeepBest",
    "LRRange",
    "LateGradientError",
    "LogLoss",
    "MeanAbsoluteError",
    "MeanLoss",
    "MeanSquaredError",
    "MultilabelF1",
    "NotFiniteError",
    "Perplexity",
    "Precision",
    "PrecisionWarning",
    "Privacy",
    "RankError",
    "Recall",
    "RootMeanSquaredError",
    "RunError",
    "Setup",
    "Summary",
    "TopKAccuracy",
    "Training",
    "WarmStart",
    "clip_gradient_values",
    "clip_gradients",
    "completion",
    "evaluate",
    "explain",
    "explain_setup",
    "fit",
    "gradients",
    "load_model",
    "lr_range_test",
    "observe",
    "on_disk",
    "read_checkpoint",
    "save_model",
    "step",
    "step_accumulated",
    "step_in_backward",
    "summary",
    "update_bn",
    "warm_start",
]
