"""From gathered columns to inputs, targets and the recipe that other files need."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mytorch.data.table.cells import Array, is_date, is_number
from mytorch.data.table.errors import TableError, shown
from mytorch.data.table.gather import Codes, Gathered
from mytorch.data.table.plan import LEAVE_OUT, Plan, no_dates
from mytorch.data.table.recipe import Feature
from mytorch.data.table.source import Source

MOST = 1000
"""Categories of a one-hot column, and classes: with more, something else was meant."""


def learn_features(source: Source, plan: Plan, gathered: Gathered) -> tuple[Feature, ...]:
    """How each feature is encoded. Raises TableError for text that is no category."""
    return tuple(_learn_feature(source, plan, name, gathered.codes.get(name)) for name in plan.features)


def _learn_feature(source: Source, plan: Plan, name: str, text: Codes | None) -> Feature:
    if text is None:
        return Feature(name, "number")
    kind = plan.encoding(name)
    if kind is None:  # of a format that says that it is text
        raise TableError(
            f"{source.path}: column {name!r} must hold numbers, got text; "
            f'encode = "one-hot" or "ordinal" takes it, {LEAVE_OUT}'
        )
    if name not in plan.encode:
        way_out = f'encode = {{ {name} = "{kind}" }} takes every value as a category'
        _require_text(source, name, text, way_out)
    if kind == "one-hot" and len(text.values) > MOST:
        raise TableError(
            f"{source.path}: column {name!r} must have at most {MOST} categories to be one-hot, "
            f'got {len(text.values)}; use "ordinal", {LEAVE_OUT}'
        )
    categories = tuple(sorted(text.values, key=_order))
    return Feature(name, "ordinal" if kind == "ordinal" else "one-hot", categories)


def _require_text(source: Source, name: str, text: Codes, way_out: str) -> None:
    """Refuse dates, and a slip of the pen that would make categories of a column of numbers."""
    values = list(text.values)
    if values and all(map(is_date, values)):
        raise TableError(f"{source.path}: column {name!r} {no_dates(shown(values[0]))}")
    if source.kinds.get(name) == "text" or not values:
        return
    codes = text.codes
    words = [code for code, value in enumerate(values) if not is_number(value, source.decimal)]
    strange = np.isin(codes, words)
    if 2 * strange.sum() < (codes >= 0).sum():
        row = int(strange.argmax())
        raise TableError(
            f"{source.cell(row, name)} must be a number, as most of this column, got {shown(values[codes[row]])}; "
            f"{way_out}"
        )


def _order(value: str) -> tuple[int, float, str]:
    """Numbers by size, before text in the order of the alphabet."""
    return (0, float(value), value) if is_number(value) else (1, 0.0, value)


def encode(features: tuple[Feature, ...], gathered: Gathered) -> Tensor:
    """The inputs, (rows, encoded columns), with NaN where a cell is missing."""
    if not gathered.codes or not any(feature.name in gathered.codes for feature in features):
        return gathered.numbers
    width = sum(len(feature.columns) for feature in features)
    inputs = torch.empty(len(gathered.numbers), width, dtype=gathered.numbers.dtype)
    number = {name: at for at, name in enumerate(gathered.names)}
    at = 0
    for feature in features:
        if feature.kind == "number":
            inputs[:, at] = gathered.numbers[:, number[feature.name]]
        else:
            codes = recode(gathered.codes[feature.name], feature.categories)
            _write_codes(inputs[:, at : at + len(feature.columns)], feature, torch.from_numpy(codes))
        at += len(feature.columns)
    return inputs


def _write_codes(place: Tensor, feature: Feature, codes: Tensor) -> None:
    if feature.kind == "ordinal":
        place[:, 0] = codes
    else:
        place.zero_()
        there = (codes >= 0).nonzero().flatten()
        place[there, codes[there]] = 1
    place[codes < 0] = torch.nan


def recode(text: Codes, categories: tuple[str, ...]) -> Array:
    """The codes of a column as places in the sorted categories; -1 where a cell is missing."""
    place = {value: code for code, value in enumerate(categories)}
    moved = np.array([*(place[value] for value in text.values), -1], dtype=np.int64)
    return moved[text.codes]
