"""Telling of numbers that differ in the data and are equal in the dtype that is trained."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from mytorch.core import fetch, fetch_exact
from mytorch.plugins import MytorchWarning

ROWS, NUMBERS = 10_000, 1_000_000
"""At most so many rows, evenly spaced, and so many numbers are looked at."""
LOST = 0.01
"""The share of the different numbers that may become equal: of many random ones, some always do."""
SHOWN = 5


class PrecisionWarning(MytorchWarning):
    """Numbers that differ in the data are equal in the dtype that is trained."""


def warn_of_merged(data: Any) -> None:
    """Warn with a line for each column of inputs and of targets in which rounding makes different numbers equal."""
    if not hasattr(data, "exact_at") or not len(data):
        return
    first, _ = fetch(data, torch.zeros(1, dtype=torch.int64))
    width = first.numel() if isinstance(first, Tensor) else 1
    rows = min(len(data), ROWS, 1 + NUMBERS // max(1, width))
    indices = torch.arange(rows) * len(data) // rows
    (inputs, targets), (exact_inputs, exact_targets) = fetch(data, indices), fetch_exact(data, indices)
    done = getattr(data, "preparation", None) or {}
    lines = _lines("input", inputs, exact_inputs, getattr(data, "columns", ()), "standardize" in done)
    lines += _lines("target", targets, exact_targets, (), "standardize_targets" in done)
    if lines:
        more = [f"and {len(lines) - SHOWN} more columns"] if len(lines) > SHOWN else []
        warnings.warn("\n".join([*lines[:SHOWN], *more]), PrecisionWarning, stacklevel=4)


def _lines(what: str, rounded: Any, exact: Any, names: Any, scaled: bool) -> list[str]:
    """What to say of each column that loses numbers, and what to do about it."""
    if not isinstance(rounded, Tensor) or not isinstance(exact, Tensor) or rounded.dtype == exact.dtype:
        return []
    kind = str(rounded.dtype).removeprefix("torch.")
    option = "data.standardize = true" if what == "input" else 'data.targets = "standardize"'
    way_out = "a number far outside of the others may be the reason" if scaled else f"{option} scales before it rounds"
    rounded, exact = rounded.reshape(len(rounded), -1).to(exact.dtype), exact.reshape(len(exact), -1)
    lines = []
    for at in (rounded != exact).any(0).nonzero().flatten().tolist():
        before, after = len(exact[:, at].unique()), len(rounded[:, at].unique())
        if before - after > LOST * before:
            name = f"{what} {names[at]!r}" if names else f"{what} column {at}"
            lines.append(
                f"{name}: {before} different numbers among {len(exact)} rows are {after} in {kind}; {way_out}, "
                'and dtype = "float64" keeps them apart'
            )
    return lines
