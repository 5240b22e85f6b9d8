"""Judging a model on a data set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Metric, Module, add_path
from mytorch.train.batches import Batches, count_rows

EVALUATION_BATCH = 8192
"""Rows a call in evaluation, where nothing is saved for a backward."""


def metric_name(metric: Metric) -> str:
    """The name of a metric in tables and histories: ErrorRate is error_rate."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(metric).__name__).lower()


def averages(loss: Module) -> bool:
    """Whether a batch's loss is a mean over its rows, and counts for each of them when batches are averaged."""
    return getattr(loss, "reduction", "mean") != "sum"


def require_number(loss: Module, value: Tensor, purpose: str) -> None:
    """Raise ArgumentError unless a loss's value is a 0-dim tensor."""
    if value.dim():
        raise ArgumentError(
            f"{type(loss).__name__}: the value to {purpose} must be one number, got a tensor of {tuple(value.shape)}; "
            'use reduction="mean" or "sum"'
        )


def predict(net: Module, inputs: Any) -> Any:
    """The model's output for a batch, in the mode in which the model is. An error names the path to the layer."""
    try:
        return net(*inputs) if isinstance(inputs, (tuple, list)) else net(inputs)
    except Exception as error:
        add_path(error, net)
        raise


@contextmanager
def judging(net: Module) -> Iterator[None]:
    """Within this context the net is in evaluation mode and under inference mode; the modes are put back after."""
    modes = [(module, module.training) for module in net.modules()]
    changes = any(training for _, training in modes)  # if not, threads may judge one net at once
    try:
        if changes:
            net.eval()
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes if changes else ():
            module.training = training


def evaluate(
    net: Module, loss: Module | None, data: Any, metrics: Sequence[Metric] = (), batch_size: int = EVALUATION_BATCH
) -> dict[str, float]:
    """The mean loss a row and every metric over a data set, in evaluation mode; the mode is put back after.

    A data set whose targets are scaled for the loss has `in_units`; metrics see predictions and targets in units.
    Returns {"loss": ..., "error_rate": ...}.
    """
    total, rows = 0.0, 0
    in_units = getattr(data, "in_units", None)
    for metric in metrics:
        metric.reset()
    with judging(net):
        for inputs, targets in Batches(data, batch_size):
            prediction = predict(net, inputs)
            here = count_rows(targets)
            if loss is not None:
                value = loss(prediction, targets)
                require_number(loss, value, "judge by")
                total += float(value) * (here if averages(loss) else 1)
            rows += here
            if in_units is not None and metrics:
                prediction, targets = in_units(prediction), in_units(targets)
            for metric in metrics:
                metric.update(prediction, targets)
    results = {} if loss is None else {"loss": total / rows if rows else float("nan")}
    return results | {metric_name(metric): float(metric.compute()) for metric in metrics}
