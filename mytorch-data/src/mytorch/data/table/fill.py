"""What stands for missing cells, learned from some rows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mytorch.data.table.errors import TableError
from mytorch.data.table.recipe import Feature, Recipe


def learn_fills(inputs: Tensor, recipe: Recipe, rows: Tensor | None = None) -> Recipe:
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
        fills.append(_fill(feature, seen[~seen.isnan().any(1)], recipe.missing))
        at += width
    return recipe.with_fills(fills)


def _fill(feature: Feature, seen: Tensor, how: str) -> float:
    if not len(seen):
        raise TableError(
            f"Table: column {feature.name!r} must have a value in the rows that are trained on, got none; "
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
