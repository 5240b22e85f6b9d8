"""The cells of one column in one batch: numbers, or categories by code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Kind = Literal["number", "boolean", "text", "empty"]
Array = np.ndarray[Any, Any]

MISSING = frozenset({"", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "?"})
"""What stands for a missing cell, once the spaces around it are taken away."""
BOOLEANS = {"true": 1.0, "false": 0.0}
_DAY = r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}"
_TIME = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
_DATE = re.compile(rf"({_DAY})([T ]{_TIME}.*)?|{_TIME}")


@dataclass
class Cells:
    """Numbers (float64, NaN for a missing cell), or codes (-1 for a missing cell) that index `values`."""

    kind: Kind
    numbers: Array = field(default_factory=lambda: np.empty(0))
    codes: Array = field(default_factory=lambda: np.empty(0, np.int32))
    values: list[str] = field(default_factory=list)

    @classmethod
    def of_text(cls, codes: Array, values: list[str], as_text: bool = True) -> Cells:
        """Text by code, which may turn out to be missing throughout or, unless `as_text`, to be true and false."""
        stripped = [value.strip() for value in values]
        kept = [value for value in dict.fromkeys(stripped) if value not in MISSING]
        place = {value: code for code, value in enumerate(kept)}
        moved = np.array([*(place.get(value, -1) for value in stripped), -1], dtype=np.int32)  # the last is for -1
        codes = moved[codes]
        if as_text:
            return cls("text", codes=codes, values=kept)
        if {value.lower() for value in kept} <= set(BOOLEANS):
            numbers = np.array([*(BOOLEANS[value.lower()] for value in kept), np.nan])
            return cls("boolean" if kept else "empty", numbers=numbers[codes])
        return cls("text", codes=codes, values=kept)


def is_number(value: str, decimal: str = ".") -> bool:
    """Whether a cell, without spaces around it, is a number."""
    if decimal != ".":
        value = value.replace(".", "?").replace(decimal, ".")
    try:
        float(value)
    except ValueError:
        return False
    return "_" not in value and value.isascii()


def is_date(value: str) -> bool:
    """Whether a cell looks like a date or a time of day."""
    return _DATE.fullmatch(value) is not None


def number_name(value: float) -> str:
    """A number as the name of a class."""
    return str(int(value)) if abs(value) < 2**53 and value == round(value) else repr(float(value))


def is_number_name(name: str) -> bool:
    """Whether a class may be called so because its cells are numbers."""
    return is_number(name) and number_name(float(name)) == name
