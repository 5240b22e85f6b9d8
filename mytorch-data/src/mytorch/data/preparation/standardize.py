"""Standardisation, learned on the training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, ShapeError, Wrapped, require_floating
from mytorch.data.batches import exact_batches
from mytorch.data.preparation.moments import INPUTS, Moments, RunningMoments
from mytorch.data.rounding import dtypes_of, is_padded, padding_of, rounded


class Standardize:
    """Shift and scale every input column to mean 0 and deviation 1.

    Formula:  z = (x - mean) / std,  std^2 = (1/rows) sum (x - mean)^2;  a constant column has std 1.  In
              sequences, (rows, steps, columns), every step counts, but for the padding; in images,
              (rows, channels, height, width), the columns are the channels, and every pixel counts
    Shapes:   x, z: (..., columns) or (rows, columns, height, width);  mean, std: one number a column
    Raises:   ShapeError for another number of columns, ArgumentError for numbers that are not finite

    Learn it from the training rows only: `Standardize.fit(train)`. `preparation` holds it as JSON can,
    for rows that come later: `Standardize.from_preparation(stored)`.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.moments = Moments(*(torch.tensor(values, dtype=torch.float64) for values in (mean, std)))
        self.moments.require_usable("Standardize")
        self.mean, self.std = self.moments.mean, self.moments.std

    @classmethod
    def fit(cls, dataset: DataSet, batch_size: int = 4096) -> Standardize:
        """Learn mean and deviation from the rows of a data set, in float64 and a batch at a time."""
        rows = len(dataset)
        if rows == 0:
            raise ArgumentError("Standardize: the data set to learn from must have rows, got none")
        seen = RunningMoments()
        for inputs, _ in exact_batches(dataset, batch_size):
            if is_padded(inputs):
                inputs = inputs["x"][~padding_of(inputs)]
            require_floating("Standardize", inputs, "inputs")
            if inputs.dim() not in (2, 3, 4):
                raise ShapeError(
                    "Standardize: inputs must have shape (rows, columns), (rows, steps, columns) or (rows, channels, "
                    f"height, width), got {tuple(inputs.shape)}"
                )
            seen.add((inputs.movedim(1, -1) if inputs.dim() == 4 else inputs).flatten(0, -2))
        std = seen.std
        std[seen.constant] = 1.0
        if not seen.squares.isfinite().all():
            named = [str(column) for column in (~seen.squares.isfinite()).nonzero().flatten().tolist()]
            names = [dataset.columns[int(column)] if dataset.columns else column for column in named]
            raise ArgumentError(f"Standardize: inputs must be finite, got other values in column {', '.join(names)}")
        return cls(seen.mean.tolist(), std.tolist())

    def apply(self, inputs: Tensor) -> Tensor:
        """The standardised inputs, computed in float64 and returned in their own dtype."""
        scaled: Tensor = self.scale(inputs).to(inputs.dtype)
        return scaled

    def scale(self, inputs: Any) -> Any:
        """The standardised inputs in float64; padded sequences keep their padding of 0."""
        if is_padded(inputs):
            scaled = self.scale(inputs["x"])
            return {**inputs, "x": scaled.masked_fill(padding_of(inputs).unsqueeze(2), 0)}
        require_floating(self, inputs, "inputs")
        columns = len(self.mean)
        if inputs.dim() == 0 or inputs.shape[1 if inputs.dim() == 4 else -1] != columns:
            raise ShapeError(f"Standardize: inputs must have {columns} columns, got {tuple(inputs.shape)}")
        return self.moments.scale(inputs)

    @property
    def preparation(self) -> dict[str, Any]:
        """What JSON keeps of it: {"standardize": {"mean": [...], "std": [...]}}."""
        return {INPUTS: self.moments.to_json()}

    @classmethod
    def from_preparation(cls, preparation: Mapping[str, Any]) -> Standardize:
        """Build it again from what `preparation` gave."""
        moments = Moments.of(preparation, INPUTS)
        if moments is None:
            raise ArgumentError(
                f"Standardize: preparation must hold {INPUTS!r} with 'mean' and 'std', got {dict(preparation)}"
            )
        return cls(moments.mean.tolist(), moments.std.tolist())


class Standardized(Wrapped):
    """A data set whose inputs come standardised; new rows need the same, as its `preparation` says.

    Numbers are scaled as exactly as the data set knows them (`exact_at`) and rounded to its dtype afterwards, so that
    large ones that differ by little, such as seconds since 1970, stay different.
    """

    def __init__(self, dataset: DataSet, standardize: Standardize) -> None:
        if dataset.preparation and INPUTS in dataset.preparation:
            raise ArgumentError("Standardized: the data set must not be standardised yet, got one that is")
        super().__init__(dataset)
        self.standardize, self.targets = standardize, dataset.targets
        self.preparation = {**(dataset.preparation or {}), **standardize.preparation}
        self._dtypes = dtypes_of(dataset)

    def batch_at(self, indices: Tensor) -> tuple[Any, Any]:
        inputs, targets = self.exact_at(indices)
        return rounded(inputs, self._dtypes[0]), rounded(targets, self._dtypes[1])

    def exact_at(self, indices: Tensor) -> tuple[Any, Any]:
        inputs, targets = self.data.exact_at(indices)
        return self.standardize.scale(inputs), targets
