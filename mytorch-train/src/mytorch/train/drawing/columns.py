"""The columns of a drawing: which layers stand together, and what leads to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mytorch.core import Module, Parameter, tree
from mytorch.train.drawing.calls import Call
from mytorch.train.drawing.levels import CHANNELS, STEPS, UNITS, Kind, every, kind_of, levels, pictures, units_of

HEADS = 4
"""Heads of attention that are drawn of a layer."""
INPUTS = 3
"""Input channels of which a unit's filters are drawn."""
FILTER = 11
"""Numbers of a filter that are drawn along each axis."""


@dataclass(frozen=True)
class Column:
    """Calls that give one column of units: the first of them may mix units, the others keep them apart."""

    at: tuple[int, ...]
    """Places among the calls."""
    layers: tuple[tuple[str, Module], ...]
    """With their paths."""
    kind: Kind
    units: int | None
    """How many units it has, drawn or not."""
    channels_first: bool
    steps: int | None
    """The steps of a sequence, drawn or not."""
    matrix: Parameter | None
    """What leads from the column before to this one, (units, units before)."""
    filters: Parameter | None
    """Filters that lead to each unit, (units, channels, height, width)."""
    looks: tuple[str, ...]
    """Paths of the layers that tell which step looks at which."""

    @property
    def label(self) -> str:
        """The classes of the layers."""
        return " + ".join(type(layer).__name__ for _, layer in self.layers)


def columns_of(calls: Sequence[Call], plane: bool = False) -> list[Column]:
    """The columns of a network by its calls: one begins at each layer that mixes units or joins branches, and where
    an output has other units, or is of another kind.

    plane: whether the rows of the inputs are the points of a plane.
    """
    columns: list[Column] = []
    group: list[int] = []
    shape: tuple[Kind, int | None] | None = None
    first = False
    for at, each in enumerate(calls):
        if each.passes_on and not each.looks:
            continue
        kind = kind_of(each.output, plane)
        new = _is_channels_first(each, first)
        now = kind, units_of(each.output, kind, new)
        begins = mixes(each.module) and not each.passes_on
        if group and (begins or shape != now):
            columns.append(_column(calls, group, plane, first))
            group = []
        group.append(at)
        shape, first = now, new
    return [*columns, _column(calls, group, plane, first)] if group else columns


def mixes(layer: Module) -> bool:
    """Whether a unit depends on several units or branches before it: by a parameter of the layer's own with more than
    one axis, or by layers inside.
    """
    own = any(parameter.value.dim() > 1 for _, parameter in tree.own(layer, Parameter) if parameter.initialized)
    return own or next(iter(layer.named_children()), None) is not None


def _is_channels_first(each: Call, before: bool) -> bool:
    """Whether the units of sequences stand on the second axis, as those of a one-dimensional convolution do."""
    dims = {parameter.value.dim() for _, parameter in tree.own(each.module, Parameter)}
    return True if 3 in dims else False if dims & {2} else before


def _column(calls: Sequence[Call], group: list[int], plane: bool, first: bool) -> Column:
    last, begin = calls[group[-1]], calls[group[0]].module
    kind = kind_of(last.output, plane)
    own = [parameter for _, parameter in tree.own(begin, Parameter)]
    wide = [parameter for parameter in own if parameter.value.dim() > 1]
    one = wide[0] if len(wide) == 1 and len(own) <= 2 else None
    filters = one is not None and one.value.dim() == 4 and not hasattr(begin, "output_padding")  # inputs come first
    steps = None
    if kind == "steps" and last.output is not None:
        steps = last.output.shape[2 if first else 1]
    units = units_of(last.output, kind, first)
    return Column(
        at=tuple(group),
        layers=tuple((calls[at].path, calls[at].module) for at in group),
        kind=kind,
        units=units,
        channels_first=first,
        steps=steps,
        matrix=one if one is not None and one.value.dim() == 2 and kind in ("plane", "units") else None,
        filters=one if filters else None,
        looks=tuple(calls[at].path for at in group if calls[at].looks),
    )


def description(column: Column) -> dict[str, Any]:
    """A column as a page draws it."""
    layers = [{"path": path, "type": type(layer).__name__, "text": repr(layer)} for path, layer in column.layers]
    return {
        "label": column.label,
        "layers": layers,
        "kind": column.kind,
        "units": column.units,
        "drawn": min(column.units or 1, CHANNELS if column.kind == "image" else UNITS),
        "steps": None if column.steps is None else {"of": column.steps, "every": every(column.steps)},
        "heads": bool(column.looks),
        "filtered": column.filters is not None,
    }


def maps(columns: Sequence[Column], calls: Sequence[Call]) -> dict[str, Tensor]:
    """What the units of each column say, "map.N": (units, height, width) of column N, uint8, as levels; and which step
    looks at which, "looks.N": (heads, steps, steps), as levels above that of 0.
    """
    found: dict[str, Tensor] = {}
    for number, column in enumerate(columns):
        if column.at[-1] >= len(calls):
            break  # a network that calls its layers in another way than when it was shown
        output = calls[column.at[-1]].output
        if output is not None and column.kind != "none" and kind_of(output, column.kind == "plane") == column.kind:
            found[f"map.{number}"] = pictures(output, column.kind, column.channels_first)
        heads = [_heads(detail.values) for at in column.at for detail in calls[at].looks if detail.values is not None]
        if heads:
            found[f"looks.{number}"] = levels(heads[0].flip(1))
    return found


def _heads(values: Tensor) -> Tensor:
    """The first steps of the first heads, (heads, steps, steps)."""
    matrices = values if values.dim() == 3 else values.unsqueeze(0)
    return matrices[:HEADS, :STEPS, :STEPS]


def weights(columns: Sequence[Column]) -> dict[str, Tensor]:
    """What leads to each column: "weight.N", (units, units before), float32, of units that are drawn; "filter.N",
    (units, channels, height, width), uint8, the first filters of each unit, by their own scale.
    """
    found: dict[str, Tensor] = {}
    for number, column in enumerate(columns):
        if column.matrix is not None:
            found[f"weight.{number}"] = column.matrix.value[:UNITS, :UNITS].float().cpu()
        if column.filters is not None:
            found[f"filter.{number}"] = levels(column.filters.value[:CHANNELS, :INPUTS, :FILTER, :FILTER].flip(2))
    return found


def inputs_of(inputs: Any, plane: bool) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The first row of a network's inputs as the column before all others, and its picture, "map.inputs"."""
    first = inputs[0] if isinstance(inputs, (tuple, list)) else inputs
    usable = isinstance(first, Tensor) and first.is_floating_point() and not plane
    kind = kind_of(first[:1], False) if usable else "none"
    if kind == "none":
        return {"kind": "none", "units": None, "drawn": 1, "steps": None}, {}
    steps = first.shape[1] if kind == "steps" else None
    column = Column((), (), kind, units_of(first, kind, False), False, steps, None, None, ())
    return description(column), {"map.inputs": pictures(first[:1], kind)}
