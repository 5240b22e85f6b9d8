"""The points of the report: inside or outside a disk."""

import math

import torch
from torch import Tensor

from mytorch.data.dtype import floating_dtype
from mytorch.data.generated._generated import Points, uniform

BYTES = 40
"""Of memory that a point takes while it is drawn."""


class Disk(Points):
    """Points drawn uniformly from the unit square; class 1 lies inside a disk that covers half of it.

    Points:   (x, y) in [0, 1)^2, independent and uniform, from a generator of their own
    Class:    1 if (x - 1/2)^2 + (y - 1/2)^2 < r^2, else 0, with r = 1 / sqrt(2 pi), so that the area is 1/2
    Shapes:   inputs: (samples, 2) of dtype;  targets: (samples,), int64
    Raises:   ArgumentError unless samples is a count, seed a whole number and dtype floating point

    Points are drawn and judged in float64 and then converted: a seed means the same points in every dtype.

    Example:
        >>> from mytorch.data import Disk
        >>> data = Disk(1000, seed=0, dtype="float64")
        >>> bool((((data.inputs - 0.5).norm(dim=1) < Disk.radius) == (data.targets == 1)).all())
        True
    """

    classes = ("outside", "inside")
    centre = (0.5, 0.5)
    radius = 1 / math.sqrt(2 * math.pi)

    def __init__(self, samples: int = 1000, seed: int = 0, dtype: torch.dtype | str = "float32") -> None:
        generator = self._generator(samples, seed, BYTES)
        points = uniform(0, 1, samples, 2, generator=generator)
        squared_distance = (points - torch.tensor(self.centre, dtype=torch.float64)).square().sum(1)
        self.inputs = points.to(floating_dtype("Disk", dtype))
        self.targets = (squared_distance < self.radius**2).to(torch.int64)

    def boundary(self, points: int = 361) -> Tensor:
        """The curve between the classes, closed, as float64 points of shape (points, 2); figures draw it."""
        angle = torch.linspace(0, 2 * math.pi, points, dtype=torch.float64)
        circle = torch.stack((angle.cos(), angle.sin()), dim=1)
        return torch.tensor(self.centre, dtype=torch.float64) + self.radius * circle
