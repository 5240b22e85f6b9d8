"""Metrics of classes, of labels and of numbers."""

from mytorch.train.metrics.class_counts import F1, BalancedAccuracy, IoU, Precision, Recall
from mytorch.train.metrics.log_loss import LogLoss
from mytorch.train.metrics.metrics import Accuracy, ErrorRate, MeanAbsoluteError
from mytorch.train.metrics.multilabel import ExactMatch, HammingLoss, MultilabelF1
from mytorch.train.metrics.perplexity import Perplexity
from mytorch.train.metrics.roc_auc import ROCAUC
from mytorch.train.metrics.squared_error import R2, MeanSquaredError, RootMeanSquaredError
from mytorch.train.metrics.top_k import TopKAccuracy

__all__ = [
    "F1",
    "R2",
    "ROCAUC",
    "Accuracy",
    "BalancedAccuracy",
    "ErrorRate",
    "ExactMatch",
    "HammingLoss",
    "IoU",
    "LogLoss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MultilabelF1",
    "Perplexity",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "TopKAccuracy",
]
