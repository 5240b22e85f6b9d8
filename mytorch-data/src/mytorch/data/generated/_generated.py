"""What the generated data sets have in common."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mytorch.core import DataSet, require_seed, require_whole, rows_at
from mytorch.plugins import require_memory


class Generated(DataSet):
    """Rows in memory that a seed decides; a subclass draws `inputs` and `targets` from `_generator`.

    Numbers are drawn and computed in float64 and then converted, so that a seed means the same rows in every dtype.
    """

    inputs: Tensor

    def _generator(self, samples: int, seed: int, bytes_a_row: int) -> torch.Generator:
        """A generator of its own, at the seed. Raises ArgumentError unless samples is a count that fits into memory.

        bytes_a_row: of memory that a row takes while it is drawn.
        """
        require_whole(self, "samples", samples, 1)
        require_memory(type(self).__name__, "samples", bytes_a_row * samples, "take fewer samples")
        require_seed(self, seed)
        return torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.inputs)

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return rows_at(self.inputs, indices), rows_at(self.targets, indices)


class Points(Generated):
    """Points of the plane, each of a class."""

    columns = ("x", "y")

    def plot(self, path: Path) -> Path:
        """Draw the points, and the curve between the classes if it is known, to a new file; see mytorch.data.plot."""
        from mytorch.data.plot import plot_points

        return plot_points(self, path)


def uniform(low: float, high: float, *shape: int, generator: torch.Generator) -> Tensor:
    """Independent numbers, uniform in [low, high), float64."""
    return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)


def normal(std: float, *shape: int, generator: torch.Generator) -> Tensor:
    """Independent numbers of the normal distribution with mean 0 and deviation std, float64."""
    return std * torch.randn(*shape, generator=generator, dtype=torch.float64)


def shuffled_classes(samples: int, classes: int, generator: torch.Generator) -> Tensor:
    """A class for each row, int64: as many rows of each as is possible, in a random order."""
    return torch.randperm(samples, generator=generator) % classes
