"""What a number of the history must be called, so that something can follow it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mytorch.core import ArgumentError
from mytorch.plugins import shown


def require_measured(owner: str, name: Any, measured: Sequence[str]) -> None:
    """Raise ArgumentError unless a run measures the number `name`, with the way out if a part of the data is missing.

    owner: what follows the number, for the error.
    measured: the names that a run measures, as `Training.measured`.
    """
    if name in measured:
        return
    part, _, quantity = str(name).partition("_")
    way_out = ""
    if part in ("validation", "test") and not any(each.startswith(f"{part}_") for each in measured):
        way_out = f"; give the run a {part} part, {part}=... of fit or data.split.{part} of an experiment"
        if (other := f"test_{quantity}") in measured:
            way_out += f', or say monitor="{other}"'
    raise ArgumentError(f"{owner}: monitor must be one of {', '.join(measured)}, got {shown(name)}{way_out}")
