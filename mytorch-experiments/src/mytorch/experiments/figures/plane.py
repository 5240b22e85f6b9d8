"""The plane of two input columns, in their own units, and what a net says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mytorch.core import Module, fetch, random_state
from mytorch.data.preparation import INPUTS, EncodedTargets, Moments
from mytorch.train.device import device_of, move
from mytorch.train.evaluation import judging, predict
from mytorch.train.metrics.metrics import class_indices

GRID = 160
"""Points of the grid along each axis."""
POINTS = 1000
"""At most so many rows of a data set are drawn, evenly spaced among all."""


@dataclass(frozen=True)
class Points:
    """Rows of a data set.

    places: (rows, 2) in the units of the columns, float64;  classes: (rows,), int64;
    predicted: what a net takes them for, (rows,), int64; None of points that no net was asked about.
    """

    places: Tensor
    classes: Tensor
    predicted: Tensor | None = None

    @property
    def wrong(self) -> Tensor:
        """The places of those that are taken for another class, (wrong, 2)."""
        return self.places[:0] if self.predicted is None else self.places[self.predicted != self.classes]


@dataclass(frozen=True)
class Plane:
    """A grid over the training points, with a margin around them.

    names: of the two columns;  classes: their names, if the data set has some;  points: the training points;
    mean, std: how the columns were standardised;  row: one of the inputs;  low, high: the corners, each (2,)
    """

    names: tuple[str, ...]
    classes: tuple[str, ...] | None
    points: Points
    mean: Tensor
    std: Tensor
    row: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, data: Any) -> Plane:
        """The plane of a data set for which `obstacle` finds none."""
        mean, std = scales(data)
        with random_state():
            inputs, _ = fetch(data, torch.arange(1))
        points = sample(data)
        low, high = points.places.amin(0), points.places.amax(0)
        margin = torch.where(high > low, (high - low) * 0.05, 1.0)
        names = tuple(getattr(data, "columns", ())) or ("first column", "second column")
        classes = getattr(data, "classes", None)
        return cls(names, classes, points, mean, std, inputs, low - margin, high + margin)

    def axes(self, count: int = GRID) -> tuple[Tensor, Tensor]:
        """The coordinates of the grid along each axis."""
        x, y = (torch.linspace(float(self.low[i]), float(self.high[i]), count, dtype=torch.float64) for i in (0, 1))
        return x, y

    def inputs(self, count: int = GRID) -> Tensor:
        """The points of the grid as rows of a net's inputs, line by line from the lowest, (count * count, 2)."""
        y, x = torch.meshgrid(*reversed(self.axes(count)), indexing="ij")
        grid: Tensor = (torch.stack((x, y), dim=-1).reshape(-1, 2) - self.mean) / self.std
        return grid.to(self.row)

    def margins(self, net: Module) -> Tensor:
        """How far each class's score is above the others', (classes, GRID, GRID): positive where it is predicted."""
        with random_state(), judging(net):
            scores = predict(net, move(self.inputs(), device_of(net)))
        return margins_of(scores).T.reshape(-1, GRID, GRID)


def margins_of(scores: Tensor) -> Tensor:
    """How far each class's score is above the best of the others, (rows, classes); of one score, two classes."""
    scores = scores.cpu().double().reshape(len(scores), -1)
    if scores.shape[1] == 1:
        scores = torch.cat((torch.zeros_like(scores), scores), dim=1)
    best, places = scores.topk(2, dim=1)
    others = best[:, :1].expand_as(scores).scatter(1, places[:, :1], best[:, 1:])
    margins: Tensor = (scores - others).nan_to_num().float()
    return margins


def obstacle(net: Module, data: Any) -> str | None:
    """What keeps a net and a data set from having a decision boundary in a plane; None if nothing does."""
    if isinstance(data, DataLoader) or not len(data):
        return f"a {type(data).__name__} of {len(data)}"
    with random_state(), judging(net):
        inputs, targets = fetch(data, torch.arange(1))
        if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or inputs.shape != (1, 2):
            return (
                f"inputs of {tuple(inputs.shape[1:])}" if isinstance(inputs, Tensor) else f"a {type(inputs).__name__}"
            )
        named = getattr(data, "classes", None) is not None or isinstance(data, EncodedTargets)
        if not isinstance(targets, Tensor) or targets.dim() > 2 or (targets.is_floating_point() and not named):
            return "targets that are numbers"
        scores = predict(net, move(inputs, device_of(net)))
    if not isinstance(scores, Tensor) or not scores.is_floating_point() or scores.dim() not in (1, 2):
        return "predictions that are no scores of classes"
    return None


def scales(data: Any) -> tuple[Tensor, Tensor]:
    """Mean and deviation by which a data set's two columns were standardised; 0 and 1 if they were not."""
    moments = Moments.of(getattr(data, "preparation", None), INPUTS)
    if moments is None:
        return torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    return moments.mean, moments.std


def sample(data: Any, net: Module | None = None) -> Points:
    """Rows of a data set, evenly spaced, with their columns in their own units.

    net: what is asked which class they are of; nothing if None.
    """
    rows = torch.linspace(0, len(data) - 1, min(len(data), POINTS), dtype=torch.float64).round().long()
    mean, std = scales(data)
    with random_state():
        inputs, targets = fetch(data, rows)
    classes = class_indices(targets, targets.shape[1] if targets.dim() > 1 else 1, 0.5)
    predicted = None
    if net is not None:
        with random_state(), judging(net):
            scores = predict(net, move(inputs, device_of(net))).reshape(len(inputs), -1)
        predicted = class_indices(scores.cpu(), scores.shape[1], 0.0).reshape(-1)
    return Points(inputs.cpu().double() * std + mean, classes.reshape(-1).cpu(), predicted)
