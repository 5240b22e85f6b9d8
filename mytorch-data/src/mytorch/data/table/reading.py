"""How a file is read."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mytorch.core import ArgumentError
from mytorch.data.table.errors import cut, shown
from mytorch.data.table.numerals import Numerals
from mytorch.plugins import nearest

MARKERS = ("NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "?")
"""Texts that stand for a missing cell, beside no text at all."""
TAB = r"\t"
"""How a command is told of a tab."""
THOUSANDS = (",", ".", " ", "'", "_")


@dataclass(frozen=True)
class Reading:
    """What must be known to read a file. A .tsv file is split at tabs unless another delimiter is asked for.

    missing_markers: for all columns, or by the names of columns; the others have the usual ones.
    """

    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    header: bool = True
    thousands: str | None = None
    units: Sequence[str] = ()
    missing_markers: Sequence[str] | Mapping[str, Sequence[str]] = MARKERS
    sheet: str | None = None

    def __post_init__(self) -> None:
        """Raise ArgumentError for what no reader could use."""
        if len(self.delimiter) != 1 or not self.delimiter.isascii() or self.delimiter in '"\r\n\0':
            raise ArgumentError(
                f"Table: delimiter must be one ASCII character such as ',', ';' or a tab, got {shown(self.delimiter)}"
            )
        if self.decimal not in (".", ","):
            raise ArgumentError(f"Table: decimal must be '.' or ',', got {shown(str(self.decimal))}")
        if self.thousands not in (None, *THOUSANDS) or self.thousands == self.decimal:
            raise ArgumentError(
                f"Table: thousands must be one of {', '.join(map(repr, THOUSANDS))} and not the decimal sign "
                f"{self.decimal!r}, got {shown(str(self.thousands))}"
            )
        object.__setattr__(self, "units", _texts("units", self.units))
        if any(not unit.strip() or any(map(str.isdigit, unit)) or unit in "+-.," for unit in self.units):
            raise ArgumentError(
                f"Table: units must be texts without digits such as '$', '%' or 'kg', got {shown(str(self.units))}"
            )
        self._set_markers()
        _require_encoding(self.encoding)

    def _set_markers(self) -> None:
        given = self.missing_markers
        if isinstance(given, Mapping):
            made: Any = {name.strip(): _texts("missing_markers", texts) for name, texts in given.items()}
        else:
            made = _texts("missing_markers", given)
        object.__setattr__(self, "missing_markers", made)

    @property
    def numerals(self) -> Numerals:
        """How numbers are written."""
        return Numerals(self.decimal, self.thousands or "", tuple(self.units), self.delimiter == ";")

    def markers(self, column: str) -> Collection[str]:
        """The texts that stand for a missing cell of a column."""
        if isinstance(self.missing_markers, Mapping):
            return self.missing_markers.get(column, MARKERS)
        return self.missing_markers

    def changed(self, given: Reading) -> Reading:
        """This one with what another says that is not the default."""
        other = {name: value for name, value in asdict(given).items() if value != getattr(Reading, name)}
        return Reading(**{**asdict(self), **other})

    def to_json(self) -> dict[str, Any]:
        """As a run keeps it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


_OPTIONS = {"units": "unit", "missing_markers": "missing-marker"}


def typed(reading: Mapping[str, Any]) -> str:
    """Options of a Table as those of a command, as they are typed in a shell."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in reading.items()}
    return " ".join(
        f"--{_OPTIONS.get(name, name)} {shlex.quote(cut(text.replace(chr(9), TAB)))}"
        for name, texts in lists.items()
        for text in texts
    )


def proposed(reading: Mapping[str, Any]) -> str:
    """Options of a Table as the keys of a file, with those of a command behind them."""
    return f"{' and '.join(f'{name} = {value!r}' for name, value in reading.items())} ({typed(reading)})"


def _texts(name: str, given: Any) -> tuple[str, ...]:
    """A list of texts; one alone stands for a list of it."""
    texts = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Sequence) else (None,)
    if not all(isinstance(text, str) for text in texts):
        raise ArgumentError(f"Table: {name} must be a list of texts, got {shown(str(given))}")
    return tuple(text.strip() for text in texts)


def _require_encoding(encoding: str) -> None:
    try:
        "a".encode(encoding).decode(encoding)
    except (LookupError, UnicodeError, ValueError):
        known = ("utf-8", "utf-16", "latin-1", "cp1252", "ascii")
        raise ArgumentError(
            f"Table: encoding must be one that Python knows, such as {', '.join(known)}, got {shown(encoding)}. "
            f"{nearest(encoding, known)}"
        ) from None
