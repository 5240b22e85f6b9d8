"""Sizes of a model that follow from its data."""

from __future__ import annotations

from typing import Any

from mytorch.core import DataSet
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.file.experiment import Experiment

CLASSES = "classes"
"""What stands in a model for the number of classes of its data."""


def fill_in_sizes(experiment: Experiment, training: DataSet) -> Experiment:
    """The experiment with a number where an argument of its model says "classes".

    The number is that of the data's classes, which of a text are its different tokens.
    Raises ExperimentError with the key if the data have none.
    """
    if not asks_for_sizes(experiment):
        return experiment
    count = None if training.classes is None else len(training.classes)
    arguments = {name: _filled_in(f"model.{name}", value, count) for name, value in experiment.model.arguments.items()}
    return experiment.model_copy(update={"model": experiment.model.model_copy(update=arguments)})


def asks_for_sizes(experiment: Experiment) -> bool:
    """Whether a size of the model is that of the data."""
    return _asks(experiment.model.arguments)


def _asks(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_asks(entry) for name, entry in value.items() if name != "type")
    return any(map(_asks, value)) if isinstance(value, list) else value == CLASSES


def _filled_in(key: str, value: Any, count: int | None) -> Any:
    if isinstance(value, dict):
        return {name: _filled_in(f"{key}.{name}", entry, count) for name, entry in value.items()}
    if isinstance(value, list):
        return [_filled_in(f"{key}.{place}", entry, count) for place, entry in enumerate(value)]
    if value != CLASSES:
        return value
    if count is None:
        raise ExperimentError(
            f'{key}: "classes" must go with data that have classes, got data without; write a number'
        )
    return count
