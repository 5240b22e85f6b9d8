"""Weights of classes by how often they occur in the training rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mytorch.core import DataSet
from mytorch.data.batches import batches
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.file.arguments import takes_tensor
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.file.parts import find
from mytorch.plugins import listed, shown

BALANCED = "balanced"
SHOWN = 5
"""Classes that a line names."""


def balance(experiment: Experiment, training: DataSet) -> Experiment:
    """The experiment with numbers where its loss says "balanced".

    weight: rows / (classes * rows of the class), as scikit-learn's class_weight = "balanced".
    pos_weight: rows of class 0 / rows of class 1, for each column of targets.
    Raises ExperimentError for targets that are no classes, and for a class without a row.
    """
    loss, weights = experiment.loss, {}
    for name, weigh in (("weight", _class_weights), ("pos_weight", _positive_weights)):
        if loss.arguments.get(name) == BALANCED and takes_tensor(find("loss", "loss", loss.type), name):
            weights[name] = weigh(training)
    return experiment.model_copy(update={"loss": loss.model_copy(update=weights)}) if weights else experiment


def told_weights(experiment: Experiment, classes: Sequence[str] | None) -> list[str]:
    """What the loss weighs classes with, for a line about the experiment."""
    weight, positive = (experiment.loss.arguments.get(name) for name in ("weight", "pos_weight"))
    lines = []
    if isinstance(weight, list) and classes and len(weight) == len(classes):
        pairs = [f"{name} {number:.4g}" for name, number in zip(classes, weight, strict=True)]
        lines.append(f"weights {listed(pairs, SHOWN)}")
    if isinstance(positive, list) and len(positive) == 1:
        lines.append(f"weight of class 1 {positive[0]:.4g}")
    return lines


def _class_weights(training: DataSet) -> list[float]:
    targets, classes = _targets(training), training.classes
    if targets.dim() == 1 and not targets.is_floating_point():
        counts = torch.bincount(targets[targets >= 0], minlength=len(classes or ()))
    elif targets.dim() == 2 and targets.shape[1] > 1 and _are_yes_or_no(targets):
        counts = targets.sum(0)
    else:
        raise ExperimentError(
            f'loss.weight: "balanced" must go with classes, got targets of {targets.dtype} and shape '
            f'{tuple(targets.shape)}; with data.targets = "binary" use pos_weight = "balanced"'
        )
    _require_rows(counts, classes, "weight")
    weights: list[float] = (counts.sum() / (len(counts) * counts.double())).tolist()
    return weights


def _positive_weights(training: DataSet) -> list[float]:
    targets = _targets(training)
    if targets.dim() != 2 or not _are_yes_or_no(targets):
        raise ExperimentError(
            f'loss.pos_weight: "balanced" must go with columns of 0 and 1, got targets of {targets.dtype} and shape '
            f'{tuple(targets.shape)}; data.targets = "binary" makes one of two classes'
        )
    positive = targets.double().sum(0)
    negative = len(targets) - positive
    names = training.classes if targets.shape[1] == 1 else None
    _require_rows(torch.cat([negative, positive]), names, "pos_weight")
    weights: list[float] = (negative / positive).tolist()
    return weights


def _are_yes_or_no(targets: Tensor) -> bool:
    return bool(((targets == 0) | (targets == 1)).all())


def _require_rows(counts: Tensor, classes: Sequence[str] | None, name: str) -> None:
    for place, count in enumerate(counts.tolist()):
        if not count:
            lacking = shown(classes[place]) if classes and place < len(classes) else str(place)
            raise ExperimentError(
                f'loss.{name}: "balanced" must have a row of each class to train on, got none of class {lacking}'
            )


def _targets(data: DataSet) -> Tensor:
    """The targets of all rows."""
    if isinstance(data.targets, Tensor):
        return data.targets
    return torch.cat([targets for _, targets in batches(data)])
