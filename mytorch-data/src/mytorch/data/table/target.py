"""Whether a target is classes or numbers, and which."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mytorch.data.table.cells import Array
from mytorch.data.table.encode import MOST, _order, _require_text, recode
from mytorch.data.table.errors import TableError, listed, shown
from mytorch.data.table.gather import Codes, Gathered
from mytorch.data.table.numerals import Numerals, number_name
from mytorch.data.table.plan import Plan
from mytorch.data.table.recipe import Target
from mytorch.data.table.source import Source

FEW = 20
"""Whole numbers with at most so many values, each twice on average, are classes unless `task` says otherwise."""


def learn_target(source: Source, plan: Plan, gathered: Gathered) -> Target:
    """Classes or numbers. Raises TableError for a target that teaches nothing, such as a constant one."""
    name = str(plan.target)
    text = gathered.codes.get(name)
    if text is not None and plan.exact and plan.options.task is None:
        text = _few_or_numbers(name, gathered)
    if text is not None:
        if plan.options.task is None and not plan.exact:
            _require_text(source, name, text, 'task = "classification" takes every value as a class')
        return Target(name, _classes(source, name, sorted(text.values, key=_order)))
    assert gathered.target is not None
    values = np.unique(gathered.target[~np.isnan(gathered.target)])
    if plan.options.task == "classification" or (plan.options.task is None and _few(values, len(gathered.target))):
        return Target(name, _classes(source, name, [number_name(value) for value in values]))
    if len(values) < 2:
        raise TableError(
            f"{source.path}: target {shown(name)} must have at least two different values, "
            f"got {_only(values)} in every row"
        )
    return Target(name, None)


def _few_or_numbers(name: str, gathered: Gathered) -> Codes | None:
    """The codes of a target of large numbers if they are few whole ones; else they become its numbers."""
    text = gathered.codes[name]
    if not all(map(Numerals().is_number, text.values)):
        return text
    if len(text.values) <= min(FEW, len(text.codes) / 2) and all(value.lstrip("-").isdigit() for value in text.values):
        return text
    gathered.target = np.array([*map(float, text.values), np.nan])[text.codes]
    del gathered.codes[name]
    return None


def _few(values: Array, rows: int) -> bool:
    return len(values) <= min(FEW, rows / 2) and bool((values == np.round(values)).all())


def _only(values: Array) -> str:
    return number_name(values[0]) if len(values) else "none"


def _classes(source: Source, name: str, classes: list[str]) -> tuple[str, ...]:
    if len(classes) < 2:
        got = f"only {shown(classes[0])}" if classes else "none"
        raise TableError(f"{source.path}: target {shown(name)} must have at least two classes, got {got}")
    if len(classes) > MOST:
        raise TableError(
            f"{source.path}: target {shown(name)} must have at most {MOST} classes, got {len(classes)}; "
            'task = "regression" takes numbers'
        )
    return tuple(classes)


def encode_target(source: Source, target: Target, gathered: Gathered, dtype: torch.dtype) -> tuple[Tensor, Array]:
    """Targets, and which rows have none: class indices (rows,) or numbers (rows, 1) in float64, that fit `dtype`."""
    text = gathered.codes.get(target.name)
    if text is not None:
        codes = recode(text, target.classes or ())
        return torch.from_numpy(codes), codes < 0
    assert gathered.target is not None
    numbers, gone = gathered.target, np.isnan(gathered.target)
    if target.classes is None:
        _require_fits(source, target, numbers, dtype)
        return torch.from_numpy(numbers).unsqueeze(1), gone
    return torch.from_numpy(_indices(source, target.name, target.classes, numbers, gone)), gone


def _require_fits(source: Source, target: Target, numbers: Array, dtype: torch.dtype) -> None:
    large = np.abs(numbers) > torch.finfo(dtype).max
    if large.any():
        row = int(large.argmax())
        raise TableError(
            f"{source.cell(row, target.name)} must fit {dtype}, got {numbers[row]}; "
            'use dtype = "float64" or another unit'
        )


def _indices(source: Source, name: str, classes: tuple[str, ...], numbers: Array, gone: Array) -> Array:
    place = {value: code for code, value in enumerate(classes)}
    values, inverse = np.unique(numbers[~gone], return_inverse=True)
    codes = np.full(len(numbers), -1, dtype=np.int64)
    codes[~gone] = np.array([place.get(number_name(value), -1) for value in values], dtype=np.int64)[inverse]
    if (strange := (codes < 0) & ~gone).any():
        row = int(strange.argmax())
        raise TableError(
            f"{source.cell(row, name)} must be a class that was trained on, {listed(classes)}, "
            f"got {number_name(numbers[row])}"
        )
    return codes
