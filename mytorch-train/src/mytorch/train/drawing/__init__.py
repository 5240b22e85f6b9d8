"""A network as a drawing: columns of units, a small picture for each, and what leads from one column to the next."""

from mytorch.train.drawing.bundle import PAGE, bundle
from mytorch.train.drawing.calls import Call, calls_of, first_row
from mytorch.train.drawing.columns import Column, columns_of
from mytorch.train.drawing.drawing import Drawing
from mytorch.train.drawing.levels import FLAT, MAP, levels, view
from mytorch.train.drawing.plain import plain

__all__ = [
    "FLAT",
    "MAP",
    "PAGE",
    "Call",
    "Column",
    "Drawing",
    "bundle",
    "calls_of",
    "columns_of",
    "first_row",
    "levels",
    "plain",
    "view",
]
