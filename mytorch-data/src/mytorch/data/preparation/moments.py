"""Mean and deviation of columns: learned batch by batch, kept as JSON, applied and taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, ShapeError
from mytorch.plugins import shown

INPUTS = "standardize"
"""Under which name `preparation` keeps those of inputs."""
TARGETS = "standardize_targets"
"""Under which name `preparation` keeps those of targets."""


@dataclass(frozen=True)
class Moments:
    """z = (x - mean) / std for each column, and back, in float64."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, preparation: Mapping[str, Any] | None, name: str) -> Moments | None:
        """What a preparation keeps under a name; None if it keeps nothing. Raises ArgumentError."""
        kept = (preparation or {}).get(name)
        if kept is None:
            return None
        try:
            return cls(*(torch.tensor(kept[key], dtype=torch.float64).reshape(-1) for key in ("mean", "std")))
        except (KeyError, TypeError, ValueError) as error:
            raise ArgumentError(f"preparation: {name} must hold 'mean' and 'std', got {shown(kept)}") from error

    def to_json(self) -> dict[str, list[float]]:
        """As a preparation keeps it under a name."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    def require_usable(self, owner: str) -> None:
        """Raise ShapeError or ArgumentError unless there is a finite mean and a deviation above 0 for each column."""
        mean, std = self.mean, self.std
        if mean.dim() != 1 or mean.shape != std.shape:
            raise ShapeError(
                f"{owner}: mean and std must have one number a column each, "
                f"got {tuple(mean.shape)} and {tuple(std.shape)}"
            )
        if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
            raise ArgumentError(
                f"{owner}: mean must be finite and std above 0, got {mean.tolist()} and {std.tolist()}"
            )

    def scale(self, values: Tensor) -> Tensor:
        """Values in deviations from the mean, (..., columns), or (rows,) of one column; of images, (rows, channels,
        height, width), the columns are the channels. Raises ShapeError.
        """
        mean, std = self._beside(values)
        return (values.to(torch.float64) - mean) / std

    def in_units(self, values: Tensor) -> Tensor:
        """Scaled values in their own units, of the same shapes. Raises ShapeError."""
        mean, std = self._beside(values)
        return values.to(torch.float64) * std + mean

    def _beside(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation on the device of values that have their columns."""
        if values.dim() == 4 and values.shape[1] == len(self.mean):
            mean, std = (numbers.to(values.device).reshape(-1, 1, 1) for numbers in (self.mean, self.std))
            return mean, std
        alone = values.dim() < 2 and len(self.mean) == 1
        if not alone and (values.dim() == 0 or values.shape[-1] != len(self.mean)):
            raise ShapeError(
                f"predict: values must have {len(self.mean)} columns, as in training, got {tuple(values.shape)}"
            )
        return self.mean.to(values.device), self.std.to(values.device)


class RunningMoments:
    """Mean, sum of squared deviations and range of each column, in float64, over the batches that were added.

    Source: Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances"
    """

    def __init__(self) -> None:
        self.rows = 0
        self.mean = self.squares = self.low = self.high = torch.empty(0, dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Take in a batch, (rows, columns)."""
        x = values.to("cpu", torch.float64)
        rows, mean = len(x), x.mean(0)
        squares, low, high = (x - mean).square().sum(0), x.amin(0), x.amax(0)
        if self.rows == 0:
            self.rows, self.mean, self.squares, self.low, self.high = rows, mean, squares, low, high
            return
        shift, total = mean - self.mean, self.rows + rows
        self.squares = self.squares + squares + shift.square() * (self.rows * rows / total)
        self.mean = self.mean + shift * (rows / total)
        self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)
        self.rows = total

    @property
    def std(self) -> Tensor:
        """The deviation of each column: std^2 = (1/rows) sum (x - mean)^2."""
        return (self.squares / self.rows).sqrt()

    @property
    def constant(self) -> Tensor:
        """Which columns are the same in every row; by their range: rounding gives them a small deviation."""
        return self.low == self.high
