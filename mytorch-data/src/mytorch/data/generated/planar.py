"""Classes of points in the plane, as pictures of classifiers and of their decision boundaries show them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mytorch.core.checks import FLOAT_MAX, require_range, require_whole
from mytorch.data.dtype import floating_dtype
from mytorch.data.generated._generated import Points, normal, shuffled_classes, uniform

BYTES = 120
"""Of memory that a point takes while it is drawn."""
MOST_CLASSES = 1000


class Spirals(Points):
    """Points along intertwined spirals, one for each class: a network needs hidden layers to tell them apart.

    Points:   r = sqrt(u), u uniform in [0, 1);  angle = 2 pi (turns * r + class / classes);
              (x, y) = r (cos(angle), sin(angle)) + noise * (e_1, e_2), e standard normal
    Class:    as many rows of each as is possible, in a random order
    Shapes:   inputs: (samples, 2) of dtype;  targets: (samples,), int64
    Raises:   ArgumentError unless samples is a count, classes from 2 to 1000, turns and noise finite and at least 0,
              seed a whole number and dtype floating point
    Source:   Lang and Witbrock 1988, "Learning to tell two spirals apart", who take one and a half turns

    Example:
        >>> from mytorch.data import Spirals
        >>> data = Spirals(300, classes=3, seed=1)
        >>> data.inputs.shape, data.targets.bincount().tolist(), data.classes
        (torch.Size([300, 2]), [100, 100, 100], ('spiral 0', 'spiral 1', 'spiral 2'))
    """

    def __init__(
        self,
        samples: int = 1000,
        classes: int = 2,
        turns: float = 1.0,
        noise: float = 0.02,
        seed: int = 0,
        dtype: torch.dtype | str = "float32",
    ) -> None:
        generator = self._generator(samples, seed, BYTES)
        require_whole(self, "classes", classes, 2, MOST_CLASSES)
        require_range(self, "turns", turns, 0.0, FLOAT_MAX)
        require_range(self, "noise", noise, 0.0, FLOAT_MAX)
        self.classes = tuple(f"spiral {number}" for number in range(classes))
        self.targets = shuffled_classes(samples, classes, generator)
        r = uniform(0, 1, samples, generator=generator).sqrt()
        angle = 2 * math.pi * (turns * r + self.targets / classes)
        points = r.unsqueeze(1) * _on_circle(angle) + normal(noise, samples, 2, generator=generator)
        self.inputs = points.to(floating_dtype("Spirals", dtype))


class Moons(Points):
    """Points of two half circles that reach into each other.

    Points:   t uniform in [0, pi);  class 0: (cos t, sin t);  class 1: (1 - cos t, 1/2 - sin t);  both with
              noise * (e_1, e_2) added, e standard normal
    Class:    half of the rows each, in a random order
    Shapes:   inputs: (samples, 2) of dtype;  targets: (samples,), int64
    Raises:   ArgumentError unless samples is a count, noise at least 0, seed a whole number and dtype floating point
    Source:   sklearn.datasets.make_moons, with t drawn instead of evenly spaced

    Example:
        >>> from mytorch.data import Moons
        >>> data = Moons(1000, noise=0.0)
        >>> data.inputs[data.targets == 0, 1].min().item() >= 0
        True
    """

    classes = ("upper", "lower")

    def __init__(
        self, samples: int = 1000, noise: float = 0.1, seed: int = 0, dtype: torch.dtype | str = "float32"
    ) -> None:
        generator = self._generator(samples, seed, BYTES)
        require_range(self, "noise", noise, 0.0, FLOAT_MAX)
        self.targets = shuffled_classes(samples, 2, generator)
        upper = _on_circle(uniform(0, math.pi, samples, generator=generator))
        lower = torch.tensor((1.0, 0.5), dtype=torch.float64) - upper
        points = torch.where(self.targets.unsqueeze(1) == 0, upper, lower)
        self.inputs = (points + normal(noise, samples, 2, generator=generator)).to(floating_dtype("Moons", dtype))


class Circles(Points):
    """Points of a circle, and of a smaller one within it.

    Points:   radius * (cos t, sin t) + noise * (e_1, e_2), t uniform in [0, 2 pi), e standard normal;  radius is 1 in
              class 0 and `factor` in class 1
    Class:    half of the rows each, in a random order
    Shapes:   inputs: (samples, 2) of dtype;  targets: (samples,), int64
    Raises:   ArgumentError unless samples is a count, noise at least 0, factor in [0, 1], seed a whole number and
              dtype floating point
    Source:   sklearn.datasets.make_circles, with t drawn instead of evenly spaced

    Example:
        >>> from mytorch.data import Circles
        >>> data = Circles(1000, noise=0.0, factor=0.5, dtype="float64")
        >>> round(data.inputs[data.targets == 1].norm(dim=1).max().item(), 12)
        0.5
    """

    classes = ("outer", "inner")

    def __init__(
        self,
        samples: int = 1000,
        noise: float = 0.05,
        factor: float = 0.5,
        seed: int = 0,
        dtype: torch.dtype | str = "float32",
    ) -> None:
        generator = self._generator(samples, seed, BYTES)
        require_range(self, "noise", noise, 0.0, FLOAT_MAX)
        require_range(self, "factor", factor, 0.0, 1.0)
        self.targets = shuffled_classes(samples, 2, generator)
        radius = torch.where(self.targets == 0, 1.0, torch.tensor(factor, dtype=torch.float64))
        circle = _on_circle(uniform(0, 2 * math.pi, samples, generator=generator))
        points = radius.unsqueeze(1) * circle + normal(noise, samples, 2, generator=generator)
        self.inputs = points.to(floating_dtype("Circles", dtype))


class XOR(Points):
    """Points of a square whose class is the exclusive or of their signs: no line separates the classes.

    Points:   (a, b) uniform in [-1, 1)^2;  (x, y) = (a, b) + noise * (e_1, e_2), e standard normal
    Class:    1 if a and b have different signs, that is (a < 0) xor (b < 0), else 0
    Shapes:   inputs: (samples, 2) of dtype;  targets: (samples,), int64
    Raises:   ArgumentError unless samples is a count, noise at least 0, seed a whole number and dtype floating point
    Source:   Minsky and Papert 1969, "Perceptrons", who show it for the four corners

    Example:
        >>> from mytorch.data import XOR
        >>> data = XOR(1000)
        >>> bool(((data.inputs.prod(1) < 0) == (data.targets == 1)).all())
        True
    """

    classes = ("equal signs", "different signs")

    def __init__(
        self, samples: int = 1000, noise: float = 0.0, seed: int = 0, dtype: torch.dtype | str = "float32"
    ) -> None:
        generator = self._generator(samples, seed, BYTES)
        require_range(self, "noise", noise, 0.0, FLOAT_MAX)
        points = uniform(-1, 1, samples, 2, generator=generator)
        self.targets = ((points[:, 0] < 0) ^ (points[:, 1] < 0)).to(torch.int64)
        self.inputs = (points + normal(noise, samples, 2, generator=generator)).to(floating_dtype("XOR", dtype))


class Gaussians(Points):
    """Points of normal distributions of equal width, whose centres lie on the unit circle at equal distances.

    Points:   (cos t, sin t) + cluster_std * (e_1, e_2), t = 2 pi class / classes, e standard normal
    Class:    as many rows of each as is possible, in a random order
    Shapes:   inputs: (samples, 2) of dtype;  targets: (samples,), int64
    Raises:   ArgumentError unless samples is a count, classes from 2 to 1000, cluster_std at least 0, seed a whole
              number and dtype floating point
    Source:   sklearn.datasets.make_blobs, with centres that are not drawn

    The best that a classifier can do is to take the nearest centre, which a linear one can.

    Example:
        >>> from mytorch.data import Gaussians
        >>> Gaussians(6, classes=3).targets.bincount().tolist()
        [2, 2, 2]
    """

    def __init__(
        self,
        samples: int = 1000,
        classes: int = 3,
        cluster_std: float = 0.3,
        seed: int = 0,
        dtype: torch.dtype | str = "float32",
    ) -> None:
        generator = self._generator(samples, seed, BYTES)
        require_whole(self, "classes", classes, 2, MOST_CLASSES)
        require_range(self, "cluster_std", cluster_std, 0.0, FLOAT_MAX)
        self.classes = tuple(f"Gaussian {number}" for number in range(classes))
        self.targets = shuffled_classes(samples, classes, generator)
        centres = _on_circle(2 * math.pi * self.targets.double() / classes)
        points = centres + normal(cluster_std, samples, 2, generator=generator)
        self.inputs = points.to(floating_dtype("Gaussians", dtype))


def _on_circle(angle: Tensor) -> Tensor:
    """Points of the unit circle, (rows, 2)."""
    return torch.stack((angle.cos(), angle.sin()), dim=1)
