"""What stands for missing cells, learned from some rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mytorch.data.table.errors import TableError, cut, listed, shown
from mytorch.data.table.recipe import KEY, Feature, Recipe


def learn_fills(path: Path, inputs: Tensor, recipe: Recipe, rows: Tensor | None = None) -> Recipe:
    """The recipe with fills learned from the given rows of encoded inputs, in which NaN stands for a missing cell.

    Numbers are filled with their mean or median, text with the category that is seen most.
    Raises TableError for a column in which these rows have no value.
    """
    if recipe.missing not in ("mean", "median"):
        return recipe
    fills, at = [], 0
    for feature in recipe.features:
        width = len(feature.columns)
        seen = inputs[:, at : at + width]
        seen = (seen if rows is None else seen[rows]).double()
        fills.append(_fill(feature, seen[~seen.isnan().any(1)], recipe.missing, path))
        at += width
    return recipe.with_fills(fills)


def _fill(feature: Feature, seen: Tensor, how: str, path: Path) -> float:
    if not len(seen):
        raise TableError(
            f"{path}: column {shown(feature.name)} must have a value in the rows that are trained on, got none; "
            "leave it out of features"
        )
    if feature.kind == "one-hot":
        return float(seen.sum(0).argmax())
    if feature.kind == "ordinal":
        return float(torch.bincount(seen.flatten().long()).argmax())
    return float(seen.mean() if how == "mean" else np.median(seen.numpy()))


def fill_row(recipe: Recipe) -> list[float]:
    """The row of encoded inputs that holds the fill of every column; empty if nothing is filled."""
    row: list[float] = []
    for feature in recipe.features:
        if feature.fill is None:
            return []
        if feature.kind == "one-hot":
            row += [float(code == feature.fill) for code in range(len(feature.categories))]
        else:
            row.append(feature.fill)
    return row


def missing_lines(preparation: Mapping[str, Any] | None) -> list[str]:
    """A line for each column of a table that has missing cells: how many, what stood in them, what fills them.

    preparation: that of a Table, or of a data set made from one; there are no lines for any other.
    """
    if not isinstance((preparation or {}).get(KEY), Mapping):
        return []
    recipe = Recipe.from_json(preparation or {})
    told: dict[str, str] = {}
    for feature in recipe.features:
        if feature.gone and feature.name not in told:
            told[feature.name] = _missing_line(feature, recipe)
    return list(told.values())


def _missing_line(feature: Feature, recipe: Recipe) -> str:
    count = sum(feature.gone.values())
    texts = [f"{shown(text) if text else 'empty'} in {rows}" for text, rows in feature.gone.items()]
    start = f"{cut(feature.name)}: {count} of {recipe.rows} cells are missing ({listed(texts)}), "
    if feature.fill is None:
        return f"{start}their rows are left out"
    if feature.kind in ("one-hot", "ordinal"):
        return f"{start}filled with {shown(feature.categories[int(feature.fill)])}, which is seen most"
    if feature.kind == "date":
        return f"{start}filled with the {recipe.missing} of each part"
    return f"{start}filled with the {recipe.missing}, {feature.fill:.6g}"
