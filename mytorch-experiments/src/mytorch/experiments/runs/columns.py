"""The columns of a history: a part of the data, and a quantity that was taken on it."""

from __future__ import annotations

PARTS = ("train", "validation", "test")
"""The parts as the columns begin with them, in the order of a history."""


def quantity_of(column: str) -> str | None:
    """The loss or metric of a column, such as "error_rate" of "validation_error_rate"; None for other columns."""
    part, _, quantity = column.partition("_")
    return quantity if part in PARTS and quantity else None
