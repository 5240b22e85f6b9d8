"""Standardisation, learned on the training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, ShapeError, Wrapped, require_floating
from mytorch.data.batches import batches

KEY = "standardize"


class Standardize:
    """Shift and scale every input column to mean 0 and deviation 1.

    Formula:  z = (x - mean) / std,  std^2 = (1/rows) sum (x - mean)^2;  a constant column has std 1
    Shapes:   x, z: (..., columns);  mean, std: one number a column
    Raises:   ShapeError for another number of columns, ArgumentError for numbers that are not finite

    Learn it from the training rows only: `Standardize.fit(train)`. `preparation` holds it as JSON can,
    for rows that come later: `Standardize.from_preparation(stored)`.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = torch.tensor(mean, dtype=torch.float64)
        self.std = torch.tensor(std, dtype=torch.float64)
        if self.mean.dim() != 1 or self.mean.shape != self.std.shape:
            raise ShapeError(
                "Standardize: mean and std must have one number a column each, "
                f"got {tuple(self.mean.shape)} and {tuple(self.std.shape)}"
            )
        if not (self.mean.isfinite().all() and self.std.isfinite().all() and (self.std > 0).all()):
            raise ArgumentError(f"Standardize: mean must be finite and std above 0, got {list(mean)} and {list(std)}")

    @classmethod
    def fit(cls, dataset: DataSet, batch_size: int = 4096) -> Standardize:
        """Learn mean and deviation from the rows of a data set, in float64 and a batch at a time."""
        rows = len(dataset)
        if rows == 0:
            raise ArgumentError("Standardize: the data set to learn from must have rows, got none")
        seen = _Moments()
        for inputs, _ in batches(dataset, batch_size):
            seen.add(inputs)
        std = (seen.squares / rows).sqrt()
        std[seen.low == seen.high] = 1.0  # told by its range: rounding gives a constant column a small deviation
        if not seen.squares.isfinite().all():
            named = [str(column) for column in (~seen.squares.isfinite()).nonzero().flatten().tolist()]
            names = [dataset.columns[int(column)] if dataset.columns else column for column in named]
            raise ArgumentError(f"Standardize: inputs must be finite, got other values in column {', '.join(names)}")
        return cls(seen.mean.tolist(), std.tolist())

    def apply(self, inputs: Tensor) -> Tensor:
        """The standardised inputs, computed in float64 and returned in their own dtype."""
        require_floating(self, inputs, "inputs")
        if inputs.dim() == 0 or inputs.shape[-1] != len(self.mean):
            raise ShapeError(f"Standardize: inputs must have {len(self.mean)} columns, got {tuple(inputs.shape)}")
        mean, std = self.mean.to(inputs.device), self.std.to(inputs.device)
        return ((inputs.to(torch.float64) - mean) / std).to(inputs.dtype)

    @property
    def preparation(self) -> dict[str, Any]:
        """What JSON keeps of it: {"standardize": {"mean": [...], "std": [...]}}."""
        return {KEY: {"mean": self.mean.tolist(), "std": self.std.tolist()}}

    @classmethod
    def from_preparation(cls, preparation: Mapping[str, Any]) -> Standardize:
        """Build it again from what `preparation` gave."""
        try:
            return cls(preparation[KEY]["mean"], preparation[KEY]["std"])
        except (KeyError, TypeError) as error:
            raise ArgumentError(
                f"Standardize: preparation must hold {KEY!r} with 'mean' and 'std', got {dict(preparation)}"
            ) from error


class Standardized(Wrapped):
    """A data set whose inputs come standardised; new rows need the same, as its `preparation` says."""

    def __init__(self, dataset: DataSet, standardize: Standardize) -> None:
        if dataset.preparation and KEY in dataset.preparation:
            raise ArgumentError("Standardized: the data set must not be standardised yet, got one that is")
        super().__init__(dataset)
        self.standardize, self.targets = standardize, dataset.targets
        self.preparation = {**(dataset.preparation or {}), **standardize.preparation}

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Any]:
        inputs, targets = self.data.batch_at(indices)
        return self.standardize.apply(inputs), targets


class _Moments:
    """Mean, sum of squared deviations and range of each column, batch by batch.

    Source: Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances (1979)
    """

    def __init__(self) -> None:
        self.rows = 0
        self.mean = self.squares = self.low = self.high = torch.empty(0, dtype=torch.float64)

    def add(self, inputs: Tensor) -> None:
        require_floating("Standardize", inputs, "inputs")
        if inputs.dim() != 2:
            raise ShapeError(f"Standardize: inputs must have shape (rows, columns), got {tuple(inputs.shape)}")
        x = inputs.to("cpu", torch.float64)
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
