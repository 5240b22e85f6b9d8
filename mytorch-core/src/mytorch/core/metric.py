"""The contract of metrics: numbers that judge predictions and are not differentiated."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core.errors import ArgumentError
from mytorch.plugins import shown


class _ClassName:
    """An attribute that is the class's name in snake case, until a subclass or an instance sets it."""

    def __get__(self, metric: object, owner: type) -> str:
        return snake_case(owner.__name__)


class Metric:
    """A number over a whole data set, gathered batch by batch.

    Any object with `reset`, `update` and `compute` is taken for a metric; this class says what they mean.

    name: what the number is called in histories and tables. It is the class's name in snake case, ErrorRate being
        error_rate, unless a subclass or an instance says otherwise, so that two of one class can stand side by side.
    outputs: how the predictions that it sees are read, a word of `mytorch.core.Loss`; whoever evaluates a model with a
        loss sets it.
    higher_is_better: which direction is good.
    undefined: when `compute` gives NaN, for the error of whoever needs a number, such as "all rows are of one class".

    Example:
        >>> import torch
        >>> class LargestError(Metric):
        ...     higher_is_better = False
        ...     def reset(self):
        ...         self.largest = 0.0
        ...     def update(self, prediction, target):
        ...         self.largest = max(self.largest, float((prediction - target).abs().max()))
        ...     def compute(self):
        ...         return self.largest
        >>> metric = LargestError()
        >>> metric.name
        'largest_error'
        >>> metric.name = "worst"
        >>> metric.name
        'worst'
    """

    name: str = _ClassName()  # type: ignore[assignment]
    outputs: str = "scores"
    higher_is_better: ClassVar[bool] = True
    undefined: ClassVar[str] = ""

    def reset(self) -> None:
        """Forget everything seen."""
        raise NotImplementedError(f"{type(self).__name__}: reset must be defined")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch: the model's output and the targets that the loss saw."""
        raise NotImplementedError(f"{type(self).__name__}: update must be defined")

    def compute(self) -> float:
        """The number over all batches since `reset`; NaN if there were none."""
        raise NotImplementedError(f"{type(self).__name__}: compute must be defined")


def snake_case(name: str) -> str:
    """A class's name as metrics are called: ErrorRate is error_rate."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def metric_name(metric: Any) -> str:
    """The name of a metric in histories and tables; of an object that says none, its class's name in snake case.

    Raises ArgumentError for a name that is no text, or that cannot be a column and the name of a figure's file.
    """
    name = getattr(metric, "name", None)
    if name is None:
        name = snake_case(type(metric).__name__)
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or {"/", "\\"} & set(name):
        raise ArgumentError(
            f"{type(metric).__name__}: name must be text such as 'error_rate', on one line and without slashes, "
            f"got {shown(name)}"
        )
    return name
