"""What is to become of the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mytorch.core import ArgumentError
from mytorch.data.table.dates import PARTS, USUAL
from mytorch.data.table.errors import shown
from mytorch.plugins import nearest

ENCODE, MISSING, TASKS = ("one-hot", "ordinal"), ("mean", "median", "drop"), ("classification", "regression")
UNSEEN = ("none", "missing")
Encode = str | Mapping[str, str] | None


@dataclass(frozen=True)
class Options:
    """The options of a Table about the meaning of its columns, as its docstring tells them."""

    task: str | None = None
    encode: Encode = None
    missing: str | None = None
    unseen: str | None = None
    missing_indicators: bool = False
    dates: str | Sequence[str] | None = None
    day_first: bool | None = None

    def __post_init__(self) -> None:
        """Raise ArgumentError for an option that there is not, and for one that needs another."""
        for name, valid in (("task", TASKS), ("missing", MISSING), ("unseen", UNSEEN)):
            if (value := getattr(self, name)) is not None:
                require_option(name, value, valid)
        if self.missing_indicators and self.missing not in ("mean", "median"):
            raise ArgumentError(
                f'Table: missing_indicators must go with missing = "mean" or "median", got missing = {self.missing!r}'
            )
        require_unseen(self.unseen, self.missing)
        for part in self.date_parts:
            require_option("a part of dates", part, tuple(PARTS))

    @property
    def date_parts(self) -> tuple[str, ...]:
        """The parts that dates become; none if they are refused."""
        if self.dates is None:
            return ()
        if self.dates == "parts":
            return USUAL
        return (self.dates,) if isinstance(self.dates, str) else tuple(self.dates)


def require_unseen(unseen: str | None, missing: str | None) -> None:
    """Raise ArgumentError if categories that are not known shall be filled in, and nothing is."""
    if unseen == "missing" and missing not in ("mean", "median"):
        raise ArgumentError(
            f'Table: unseen = "missing" must go with missing = "mean" or "median", got missing = {missing!r}'
        )


def require_option(subject: str, value: object, valid: Sequence[str]) -> None:
    """Raise ArgumentError, with the nearest, unless an option is one of those that there are."""
    if value not in valid:
        raise ArgumentError(
            f"Table: {subject} must be one of {', '.join(valid)}, got {shown(str(value))}. "
            f"{nearest(str(value), valid)}"
        )
