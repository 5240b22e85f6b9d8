"""Numbers as levels of small pictures, one for each unit of a column."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

UNITS = 32
"""Units that are drawn of a column."""
CHANNELS = 16
"""Channels that are drawn of an image, whose pictures want more room."""
MAP = 20
"""Points of a unit's picture along each axis, at most."""
STEPS = 32
"""Steps of a sequence that are drawn, at most: evenly spaced up to the last one."""
FLAT = 127
"""The level of 0 in a picture; 1 to 253 around it, from the most negative number to the most positive."""
Kind = Literal["plane", "image", "steps", "units", "none"]
"""What the pictures of a column's units show: a plane of inputs, or of one row an image, steps or single numbers."""


def kind_of(output: Tensor | None, plane: bool) -> Kind:
    """What the pictures of an output's units show.

    plane: whether the rows are the points of a square plane, line by line, and not one row.
    """
    if output is None or output.is_complex() or output.layout is not torch.strided or not output.numel():
        return "none"
    kinds: dict[int, Kind] = {2: "plane"} if plane else {2: "units", 3: "steps", 4: "image"}
    return kinds.get(output.dim(), "none")


def units_of(output: Tensor | None, kind: Kind, channels_first: bool) -> int | None:
    """How many units an output has; None if it has none that are drawn."""
    if output is None or kind == "none":
        return None
    return output.shape[1 if kind == "image" or (kind == "steps" and channels_first) else -1]


def every(steps: int) -> int:
    """Which steps are drawn: each, each second one, and so on."""
    return -(-steps // STEPS)


def pictures(output: Tensor, kind: Kind, channels_first: bool = False) -> Tensor:
    """The pictures of an output's first units, (units, height, width), uint8."""
    if kind == "plane":
        side = round(len(output) ** 0.5)
        return levels(output[:, :UNITS].T.reshape(-1, side, side))
    if kind == "units":
        return levels(output[:1, :UNITS]).reshape(-1, 1, 1)  # which share a scale
    if kind == "steps":
        of_units = output[0] if channels_first else output[0].T
        rows = of_units[:UNITS].flip(1)[:, :: every(of_units.shape[1])].flip(1)
        return levels(rows.unsqueeze(1))
    maps = output[0, :CHANNELS].float()
    high, wide = maps.shape[-2:]
    if max(high, wide) > MAP:
        maps = F.adaptive_avg_pool2d(maps, (min(MAP, high), min(MAP, wide)))
    return levels(maps.flip(1))  # a picture's first line is its lowest


def view(output: Tensor | None, channels_first: bool = False) -> Tensor | None:
    """The pictures of the first row of a batch; None of what has none that are drawn."""
    kind = kind_of(output, False)
    return None if output is None or kind == "none" else pictures(output.detach()[:1], kind, channels_first)


def levels(values: Tensor) -> Tensor:
    """Numbers as levels of a picture, each entry of the first axis by its own largest magnitude."""
    values = values.float().nan_to_num().cpu()
    top = values.abs().flatten(1).amax(1).clamp(min=1e-12).reshape(-1, *[1] * (values.dim() - 1))
    return (values / top * (FLAT - 1) + FLAT).round().to(torch.uint8)
