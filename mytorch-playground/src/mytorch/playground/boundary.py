"""What a network says at each point of the plane of its inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from mytorch.core import Module, random_state
from mytorch.experiments.figures.plane import Plane, margins_of
from mytorch.train.evaluation import judging

GRID = 50
"""Points of the plane along each axis."""


def boundary(net: Module, plane: Plane) -> dict[str, Tensor]:
    """Which class is predicted at each point, and how far its score is above the others', up to 255 for the farthest.

    "class", "margin": (GRID, GRID), uint8, from the lowest line to the highest.
    """
    with random_state(), judging(net):
        scores = net(plane.inputs(GRID))
    best, classes = margins_of(scores).max(1)
    shares = best / best.max().clamp(min=1e-12)
    found = {"class": classes.to(torch.uint8), "margin": (shares * 255).round().to(torch.uint8)}
    return {name: values.reshape(GRID, GRID) for name, values in found.items()}
