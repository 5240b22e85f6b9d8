"""From gathered columns to inputs, targets and the recipe that other files need."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mytorch.core import ArgumentError
from mytorch.data.table.cells import Array, Cells
from mytorch.data.table.date_features import encode_dates, learn_dates
from mytorch.data.table.dates import is_date
from mytorch.data.table.errors import TableError, as_toml, shown
from mytorch.data.table.gather import Codes, Gathered, ways_to_read
from mytorch.data.table.numerals import Numerals
from mytorch.data.table.plan import LEAVE_OUT, Plan, no_dates
from mytorch.data.table.recipe import Feature, Recipe
from mytorch.data.table.source import Source

MOST = 1000
"""Categories of a one-hot column, and classes: with more, something else was meant."""


MISSING, UNKNOWN = -1, -2
"""The codes of a missing cell, and of a category that is none of the known."""


def learn_features(source: Source, plan: Plan, gathered: Gathered) -> tuple[Feature, ...]:
    """How each feature is encoded. Raises TableError for text that is no category."""
    features: list[Feature] = []
    for name in plan.features:
        gone = dict(gathered.gone[name])
        learned = _learn_column(source, plan, name, gathered.codes.get(name))
        features += [replace(feature, gone=gone) for feature in learned]
        if gone and plan.options.missing_indicators:
            features.append(Feature(name, "missing"))
    if plan.options.unseen == "none" and (
        ranked := [feature.name for feature in features if feature.kind == "ordinal"]
    ):
        raise ArgumentError(
            'Table: unseen = "none" must go with columns that are one-hot, whose columns are then all 0, got the '
            f'ordinal {shown(ranked[0])}; unseen = "missing" fills such cells in'
        )
    return tuple(features)


def _learn_column(source: Source, plan: Plan, name: str, text: Codes | None) -> list[Feature]:
    of_dates = text is not None and plan.options.date_parts and name not in plan.encode
    if of_dates and text is not None and (name in plan.dates or _mostly_dates(text)):
        return learn_dates(source, name, text, plan.options)
    return [_learn_feature(source, plan, name, text)]


def _mostly_dates(text: Codes) -> bool:
    values = list(text.values)
    return bool(values) and 2 * sum(map(is_date, values)) > len(values)


def _learn_feature(source: Source, plan: Plan, name: str, text: Codes | None) -> Feature:
    if text is None:
        return Feature(name, "number")
    kind = plan.encoding(name)
    if kind is None:  # of a format that says that it is text
        raise TableError(
            f"{source.path}: column {shown(name)} must hold numbers, got text; "
            f'encode = "one-hot" or "ordinal" takes it, {LEAVE_OUT}'
        )
    if name not in plan.encode:
        way_out = f"encode = {as_toml({name: kind})} takes every value as a category"
        _require_text(source, name, text, way_out)
    if kind == "one-hot" and len(text.values) > MOST:
        raise TableError(
            f"{source.path}: column {shown(name)} must have at most {MOST} categories to be one-hot, "
            f'got {len(text.values)}; use "ordinal", {LEAVE_OUT}'
        )
    categories = tuple(sorted(text.values, key=_order))
    return Feature(name, "ordinal" if kind == "ordinal" else "one-hot", categories)


def _require_text(source: Source, name: str, text: Codes, way_out: str) -> None:
    """Refuse dates, and a slip of the pen that would make categories of a column of numbers."""
    values = list(text.values)
    if values and all(map(is_date, values)):
        raise TableError(f"{source.path}: column {shown(name)} {no_dates(shown(values[0]))}")
    if source.kinds.get(name) == "text" or not values:
        return
    codes = text.codes
    words = [code for code, value in enumerate(values) if not source.numerals.is_number(value)]
    strange = np.isin(codes, words)
    if 2 * strange.sum() < (codes >= 0).sum():
        row = int(strange.argmax())
        seen = Cells("text", codes=codes, values=values)
        ways_out = ways_to_read(name, seen, source, way_out)
        raise TableError(
            f"{source.cell(row, name)} must be a number, as most of this column, got {shown(values[codes[row]])}; "
            f"{'; '.join(ways_out)}"
        )


def _order(value: str) -> tuple[int, float, str]:
    """Numbers by size, before text in the order of the alphabet."""
    return (0, float(value), value) if Numerals().is_number(value) else (1, 0.0, value)


def encode(source: Source, recipe: Recipe, gathered: Gathered) -> Tensor:
    """The inputs, (rows, encoded columns), with NaN where a cell is missing."""
    features = recipe.features
    if all(feature.kind == "number" for feature in features):
        return gathered.numbers
    of_dates = any(feature.kind == "date" for feature in features)
    dtype = torch.float64 if of_dates else gathered.numbers.dtype
    inputs = torch.empty(len(gathered.numbers), len(recipe.columns), dtype=dtype)
    at = 0
    for feature in features:
        place = inputs[:, at : at + len(feature.columns)]
        if feature.kind in ("one-hot", "ordinal"):
            unknown = MISSING if recipe.unseen == "missing" else UNKNOWN
            codes = recode(gathered.codes[feature.name], feature.categories, unknown)
            _write_codes(place, feature, torch.from_numpy(codes))
        elif feature.kind == "date":
            place[:, 0] = torch.from_numpy(encode_dates(source, feature, gathered.codes[feature.name]))
        else:
            values = _values(feature.name, gathered)
            place[:, 0] = values.isnan() if feature.kind == "missing" else values
        at += len(feature.columns)
    return inputs


def _values(name: str, gathered: Gathered) -> Tensor:
    """The numbers of a column, or its codes; NaN where a cell is missing."""
    if name not in gathered.codes:
        return gathered.numbers[:, gathered.names.index(name)]
    codes = torch.from_numpy(gathered.codes[name].codes).double()
    return torch.where(codes < 0, torch.nan, codes)


def _write_codes(place: Tensor, feature: Feature, codes: Tensor) -> None:
    if feature.kind == "ordinal":
        place[:, 0] = codes
    else:
        place.zero_()
        there = (codes >= 0).nonzero().flatten()
        place[there, codes[there]] = 1
    place[codes == MISSING] = torch.nan


def recode(text: Codes, categories: tuple[str, ...], unknown: int = UNKNOWN) -> Array:
    """The codes of a column as places in the sorted categories; -1 where a cell is missing.

    unknown: the code of a text that is no category.
    """
    place = {value: code for code, value in enumerate(categories)}
    moved = np.array([*(place.get(value, unknown) for value in text.values), MISSING], dtype=np.int64)
    return moved[text.codes]
