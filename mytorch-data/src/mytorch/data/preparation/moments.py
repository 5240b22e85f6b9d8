"""Mean and deviation that a run keeps of its training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, ShapeError

INPUTS, TARGETS = "standardize", "standardize_targets"
"""Under which names `preparation` keeps those of inputs and of targets."""


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
            raise ArgumentError(f"preparation: {name} must hold 'mean' and 'std', got {kept!r}") from error

    def scale(self, values: Tensor) -> Tensor:
        """Values in deviations from the mean."""
        self._require_columns(values)
        return (values.to(torch.float64) - self.mean) / self.std

    def in_units(self, values: Tensor) -> Tensor:
        """Scaled values in their own units."""
        self._require_columns(values)
        return values.to(torch.float64) * self.std + self.mean

    def _require_columns(self, values: Tensor) -> None:
        columns = 1 if values.dim() < 2 else values.shape[-1]
        if columns != len(self.mean):
            raise ShapeError(
                f"predict: values must have {len(self.mean)} columns, as in training, got {tuple(values.shape)}"
            )
