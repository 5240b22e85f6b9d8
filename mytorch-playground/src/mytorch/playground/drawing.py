"""A network as a drawing: columns of units, what each unit makes of the plane of the inputs, and weights between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Module, Parameter, random_state
from mytorch.experiments.figures.plane import Plane, margins_of
from mytorch.nn import Sequential
from mytorch.train.evaluation import judging

GRID = 50
"""Points of the large picture along each axis."""
MAP = 24
"""Points of a unit's picture along each axis."""
UNITS = 32
"""Units that are drawn of a column."""
FLAT = 127
"""The level of 0 in a picture; 1 to 253 around it, from the most negative number to the most positive."""


@dataclass(frozen=True)
class Column:
    """Layers that give one column of units: the first of them may have weights, the others keep the units apart."""

    layers: tuple[tuple[str, Module], ...]
    """With their paths."""
    weight: Parameter | None
    """What leads from the column before to this one, (units, units before); None if there is none."""

    @property
    def label(self) -> str:
        """The classes of the layers."""
        return " + ".join(type(layer).__name__ for _, layer in self.layers)


def columns_of(net: Module) -> list[Column]:
    """The columns of a network: one begins at each layer of a Sequential that mixes units."""
    layers = [(str(at), layer) for at, layer in enumerate(net)] if isinstance(net, Sequential) else [("", net)]
    groups: list[list[tuple[str, Module]]] = []
    for path, layer in layers:
        if not groups or mixes(layer):
            groups.append([])
        groups[-1].append((path, layer))
    return [Column(tuple(group), _matrix(group[0][1])) for group in groups]


def mixes(layer: Module) -> bool:
    """Whether a layer has parameters of more than one axis, so that a unit depends on several units before it."""
    return any(parameter.value.dim() > 1 for parameter in layer.param())


def _matrix(layer: Module) -> Parameter | None:
    """The one matrix from inputs to outputs of a layer, if it has one."""
    found = [parameter for parameter in layer.param() if parameter.value.dim() == 2]
    return found[0] if len(found) == 1 and len(layer.param()) <= 2 else None


def maps(net: Module, columns: Sequence[Column], plane: Plane) -> dict[str, Tensor]:
    """What each unit of each column says over the plane, and what the network says.

    "map.N": (units, MAP, MAP) of column N, uint8, as levels of the unit; "class", "margin": (GRID, GRID), uint8, which
    class is predicted, and how far its score is above the others', up to 255 for the farthest.
    A column whose outputs are no units, (rows, units), has none.
    """
    found: dict[str, Tensor] = {}
    fine, coarse = plane.inputs(GRID), plane.inputs(MAP)
    with random_state(), judging(net):
        if isinstance(net, Sequential):
            x: Any = coarse
            for number, column in enumerate(columns):
                for _, layer in column.layers:
                    x = layer(x)
                if isinstance(x, Tensor) and x.dim() == 2:
                    found[f"map.{number}"] = levels(x[:, :UNITS].T.reshape(-1, MAP, MAP))
        scores = net(fine)
    best, classes = margins_of(scores).max(1)
    found["class"] = classes.to(torch.uint8).reshape(GRID, GRID)
    top = best.max().clamp(min=1e-12)
    found["margin"] = (best / top * 255).round().to(torch.uint8).reshape(GRID, GRID)
    return found


def weights(columns: Sequence[Column]) -> dict[str, Tensor]:
    """The weights that lead to each column, "weight.N": (units, units before), float32, of units that are drawn."""
    return {
        f"weight.{number}": column.weight.value[:UNITS, :UNITS].float().cpu()
        for number, column in enumerate(columns)
        if column.weight is not None
    }


def levels(values: Tensor) -> Tensor:
    """Numbers as levels of a picture, each entry of the first axis by its own largest magnitude."""
    values = values.float().nan_to_num().cpu()
    top = values.abs().flatten(1).amax(1).clamp(min=1e-12).reshape(-1, *[1] * (values.dim() - 1))
    return (values / top * (FLAT - 1) + FLAT).round().to(torch.uint8)
