"""Data sets for learning and teaching, drawn by a generator that a seed decides: points, pictures and sequences."""

from mytorch.data.generated.disk import Disk
from mytorch.data.generated.images import Shapes
from mytorch.data.generated.planar import XOR, Circles, Gaussians, Moons, Spirals
from mytorch.data.generated.sequences import AddingProblem, Copying, SineMixtures

__all__ = [
    "XOR",
    "AddingProblem",
    "Circles",
    "Copying",
    "Disk",
    "Gaussians",
    "Moons",
    "Shapes",
    "SineMixtures",
    "Spirals",
]
