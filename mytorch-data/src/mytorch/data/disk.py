"""The points of the report: inside or outside a disk."""

import math
from pathlib import Path

import torch
from torch import Tensor

from mytorch.core import DataSet, require_seed, require_whole, rows_at
from mytorch.data.dtype import floating_dtype
from mytorch.plugins import require_memory

BYTES = 40
"""Of memory that a point takes while it is drawn."""


class Disk(DataSet):
    """Points drawn uniformly from the unit square; class 1 lies inside a disk that covers half of it.

    Points:   (x, y) in [0, 1)^2, independent and uniform, from a generator of their own
    Class:    1 if (x - 1/2)^2 + (y - 1/2)^2 < r^2, else 0, with r = 1 / sqrt(2 pi), so that the area is 1/2
    Shapes:   inputs: (samples, 2) of dtype;  targets: (samples,), int64
    Raises:   ArgumentError unless samples is a count, seed a whole number and dtype floating point

    Points are drawn and judged in float64 and then converted: a seed means the same points in every dtype.
    """

    columns = ("x", "y")
    classes = ("outside", "inside")
    centre = (0.5, 0.5)
    radius = 1 / math.sqrt(2 * math.pi)

    def __init__(self, samples: int = 1000, seed: int = 0, dtype: torch.dtype | str = "float32") -> None:
        require_whole("Disk", "samples", samples, 1)
        require_memory("Disk", "samples", BYTES * samples, "take fewer samples")
        require_seed("Disk", seed)
        generator = torch.Generator().manual_seed(seed)
        points = torch.rand(samples, 2, generator=generator, dtype=torch.float64)
        squared_distance = (points - torch.tensor(self.centre, dtype=torch.float64)).square().sum(1)
        self.inputs = points.to(floating_dtype("Disk", dtype))
        self.targets = (squared_distance < self.radius**2).to(torch.int64)

    def __len__(self) -> int:
        return len(self.inputs)

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return rows_at(self.inputs, indices), rows_at(self.targets, indices)

    def plot(self, path: Path) -> Path:
        """Draw the points and the circle into a new file; see mytorch.data.plot."""
        from mytorch.data.plot import plot_points

        return plot_points(self, path)

    def boundary(self, points: int = 361) -> Tensor:
        """The curve between the classes, closed, as float64 points of shape (points, 2); figures draw it."""
        angle = torch.linspace(0, 2 * math.pi, points, dtype=torch.float64)
        circle = torch.stack((angle.cos(), angle.sin()), dim=1)
        return torch.tensor(self.centre, dtype=torch.float64) + self.radius * circle
