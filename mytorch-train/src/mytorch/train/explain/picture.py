"""Tensors as pictures: a matrix as one, feature maps and filters as small ones side by side."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from mytorch.train.explain.png import GAP, levels, png

SIDE, MAP, MAPS, FILTERS = 128, 48, 16, 8
"""The longest sides of a matrix and of a map, how many maps are drawn, and filters in both directions."""


@dataclass(frozen=True)
class Picture:
    """Numbers as colours: from black, 0, to white; or, if some are below 0, from orange through white, 0, to blue."""

    what: str
    """What of the tensor it shows, such as "y[0, :16]"."""
    uri: str
    """The data URI of a PNG with a pixel a number, and one between two maps."""
    width: int
    height: int
    low: float
    high: float
    """The range of the numbers that are finite."""
    axes: tuple[str, str] = ("", "")
    """What runs down and what runs to the right."""
    rows: tuple[str, ...] = ()
    """Names of the rows, if there are any."""
    columns: tuple[str, ...] = ()


def picture_of(name: str, value: Tensor, parameter: bool) -> Picture | None:
    """The picture of a layer's input, output, parameter or gradient; None for what is no picture.

    Of an input or output with more than two axes, the first entry is drawn, which is a row if the batch comes first;
    of filters, several outputs one below the other.
    """
    if not (value.is_floating_point() and 2 <= value.dim() <= 4 and value.numel()):
        return None
    if parameter and value.dim() == 4:
        tiles, index, columns = _filters(value)
    elif value.dim() == 4:
        tiles, index, columns = value[0, :MAPS], f"[0{_cut(value.shape[1], MAPS)}]", FILTERS
    else:
        matrix = value if value.dim() == 2 else value[0]
        cuts = "".join(_cut(size, SIDE) or ", :" for size in matrix.shape)[2:]
        cuts = cuts if matrix.shape != matrix[:SIDE, :SIDE].shape else ""
        index = ", ".join(part for part in ("0" * (value.dim() == 3), cuts) if part)
        tiles, index, columns = matrix[None, :SIDE, :SIDE], f"[{index}]" if index else "", 1
    if min(tiles.shape[-2:]) < 2:
        return None
    tiles = tiles.detach().float()
    if value.dim() == 4 and max(tiles.shape[-2:]) > MAP:
        size = min(MAP, tiles.shape[-2]), min(MAP, tiles.shape[-1])
        tiles, index = F.adaptive_avg_pool2d(tiles, size), f"{index}, averaged to {size[0]} by {size[1]}"
    return draw(f"{name}{index}", tiles, columns)


def draw(
    what: str,
    tiles: Tensor,
    columns: int = 1,
    axes: tuple[str, str] = ("", ""),
    names: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
) -> Picture:
    """The picture of matrices, (count, height, width), side by side, so many in a line."""
    finite = tiles[tiles.isfinite()]
    low, high = (bound.item() for bound in finite.aminmax()) if finite.numel() else (0.0, 0.0)
    entries, signed = levels(tiles, max(abs(low), abs(high)))
    sheet = _side_by_side(entries, min(columns, len(tiles)))
    return Picture(what, png(sheet, signed), sheet.shape[1], sheet.shape[0], low, high, axes, *names)


def _filters(value: Tensor) -> tuple[Tensor, str, int]:
    """Each filter of the first outputs and inputs: a line for an output, unless there is one input."""
    outputs, inputs = value.shape[:2]
    if inputs == 1:
        return value[:MAPS, 0], f"[{_cut(outputs, MAPS)[2:] or ':'}, 0]", FILTERS
    cuts = f"{_cut(outputs, FILTERS) or ', :'}{_cut(inputs, FILTERS) or ', :'}"[2:]
    shown = value[:FILTERS, :FILTERS]
    return shown.flatten(0, 1), f"[{cuts}]", shown.shape[1]


def _cut(size: int, most: int) -> str:
    return f", :{most}" if size > most else ""


def _side_by_side(tiles: Tensor, columns: int) -> Tensor:
    """(height, width) of (count, height, width), with a pixel between two."""
    count, height, width = tiles.shape
    lines = -(-count // columns)
    sheet: Tensor = tiles.new_full((lines * columns, height + 1, width + 1), GAP)
    sheet[:count, :height, :width] = tiles
    sheet = sheet.unflatten(0, (lines, columns)).transpose(1, 2).flatten(2).flatten(0, 1)
    return sheet[:-1, :-1]
