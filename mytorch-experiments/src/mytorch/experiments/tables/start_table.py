"""The table of what a model took from another one."""

from __future__ import annotations

import math

from mytorch.experiments.tables.terminal import show_table
from mytorch.train.warm_start import Shape, WarmStart

ROWS = 12
"""Of each kind, at most so many tensors are listed; the others are counted."""


def show_start(start: WarmStart) -> None:
    """Print which weights were taken, which are new and which were left, with their shapes."""
    taken = {name: shape for name, shape in start.taken.items() if name not in start.frozen}
    frozen = {name: shape for name, shape in start.taken.items() if name in start.frozen}
    kinds = {"taken": taken, "taken, frozen": frozen, "new": start.new, "left in the file": start.left}
    rows = [row for what, tensors in kinds.items() for row in _rows(what, tensors)]
    show_table(["weights", "", "shape", "numbers"], rows, left=3)


def _rows(what: str, tensors: dict[str, Shape]) -> list[tuple[str, str, str, str]]:
    names = list(tensors)
    shown = names if len(names) <= ROWS else names[: ROWS - 1]
    rows = [(name, what, " x ".join(map(str, tensors[name])) or "a number", _count([tensors[name]])) for name in shown]
    if rest := names[len(shown) :]:
        rows.append((f"{len(rest)} more", what, "", _count([tensors[name] for name in rest])))
    return rows


def _count(shapes: list[Shape]) -> str:
    return f"{sum(map(math.prod, shapes)):,}"
