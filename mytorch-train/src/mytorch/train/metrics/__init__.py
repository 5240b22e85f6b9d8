"""Metrics of classes and of numbers."""

from mytorch.train.metrics.class_counts import F1, BalancedAccuracy
from mytorch.train.metrics.metrics import Accuracy, ErrorRate, MeanAbsoluteError
from mytorch.train.metrics.roc_auc import ROCAUC
from mytorch.train.metrics.squared_error import R2, MeanSquaredError

__all__ = [
    "F1",
    "R2",
    "ROCAUC",
    "Accuracy",
    "BalancedAccuracy",
    "ErrorRate",
    "MeanAbsoluteError",
    "MeanSquaredError",
]
