"""Numbers to be predicted, shifted and scaled for the loss and told in their own units everywhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, DtypeError, ShapeError
from mytorch.train.batches import Batches, fetch

KEY = "standardize_targets"
ROWS = 8192
"""Rows that are looked at together while mean and deviation are learned."""


class StandardizedTargets(DataSet):
    """A data set of numbers whose targets come with mean 0 and deviation 1.

    Formula:  z = (t - mean) / std,  std^2 = (1/rows) sum (t - mean)^2
    Shapes:   t, z: (batch,) or (batch, columns);  mean, std: one number a column
    Raises:   DtypeError for class indices, ArgumentError for numbers that are not finite or all equal

    mean, std: learned from the training rows by `learn_targets`, and the same for every other data set.
    Metrics get predictions and targets in their own units: `evaluate` passes both through `in_units`.
    """

    def __init__(self, data: Any, mean: Sequence[float], std: Sequence[float]) -> None:
        self.data = data
        self.mean = torch.tensor(mean, dtype=torch.float64)
        self.std = torch.tensor(std, dtype=torch.float64)
        self.columns: tuple[str, ...] = tuple(getattr(data, "columns", ()))
        self.classes = None
        learned = {KEY: {"mean": self.mean.tolist(), "std": self.std.tolist()}}
        self.preparation = {**(getattr(data, "preparation", None) or {}), **learned}

    @classmethod
    def from_preparation(cls, data: Any, preparation: Mapping[str, Any]) -> StandardizedTargets:
        """Scale the targets of other rows as those of the training were, by what a run keeps."""
        return cls(data, preparation[KEY]["mean"], preparation[KEY]["std"])

    def in_units(self, values: Tensor) -> Tensor:
        """Scaled values, predicted or wanted, in the units of the targets; float64, so that nothing is rounded off."""
        self._require_columns(values)
        return values.to(torch.float64) * self.std.to(values.device) + self.mean.to(values.device)

    def scale(self, targets: Tensor) -> Tensor:
        """Targets as the loss sees them, computed in float64 and returned in their own dtype."""
        require_numbers(targets)
        self._require_columns(targets)
        scaled = (targets.to(torch.float64) - self.mean.to(targets.device)) / self.std.to(targets.device)
        return scaled.to(targets.dtype)

    def _require_columns(self, values: Tensor) -> None:
        columns = 1 if values.dim() < 2 else values.shape[1]
        if columns != len(self.mean):
            raise ShapeError(
                f"data.targets: values must have {len(self.mean)} columns, got a tensor of {tuple(values.shape)}"
            )

    def __len__(self) -> int:
        return len(self.data)

    def __getitems__(self, indices: Tensor | list[int]) -> tuple[Any, Tensor]:
        inputs, targets = fetch(self.data, torch.as_tensor(indices))
        return inputs, self.scale(targets)


def learn_targets(data: Any) -> tuple[list[float], list[float]]:
    """Mean and deviation of each target column over all rows of a data set."""
    found = [require_numbers(targets) for _, targets in Batches(data, ROWS)]
    t = torch.cat(found).to("cpu", torch.float64)
    t = t.reshape(len(t), -1)
    if not t.isfinite().all():
        row = int((~t.isfinite()).any(1).nonzero()[0])
        raise ArgumentError(f"data.targets: numbers must be finite, got {t[row].tolist()} in training row {row}")
    if (constant := (t == t[0]).all(0)).any():
        value = t[0][constant][0].item()
        raise ArgumentError(
            f"data.targets: numbers must differ to be standardised, got {value:g} in every training row; "
            "there is nothing to learn"
        )
    std, mean = torch.std_mean(t, 0, correction=0)
    if not std.isfinite().all():
        raise ArgumentError(f"data.targets: numbers must be small enough to be squared, got {t.abs().max().item():g}")
    return mean.tolist(), std.tolist()


def require_numbers(targets: Any) -> Tensor:
    """The targets. Raises DtypeError unless they are floating-point numbers."""
    if not isinstance(targets, Tensor) or not targets.is_floating_point():
        what = str(targets.dtype) if isinstance(targets, Tensor) else type(targets).__name__
        raise DtypeError(
            f'data.targets: "standardize" needs numbers, got {what}; use targets = "as-is" for class indices'
        )
    return targets
