"""The cells of one column in one batch: numbers, or categories by code."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mytorch.data.table.numerals import marked_numbers, number_name

Kind = Literal["number", "boolean", "text", "empty"]
Array = np.ndarray[Any, Any]

BOOLEANS = {"true": 1.0, "false": 0.0}


@dataclass
class Cells:
    """Numbers (float64, NaN for a missing cell), or codes (-1 for a missing cell) that index `values`.

    gone: how many cells are missing, by the text that stands in them.
    """

    kind: Kind
    numbers: Array = field(default_factory=lambda: np.empty(0))
    codes: Array = field(default_factory=lambda: np.empty(0, np.int32))
    values: list[str] = field(default_factory=list)
    gone: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_numbers(cls, numbers: Array, kind: Kind, markers: Collection[str]) -> Cells:
        """Numbers of a format that knows them as such, with NaN for a missing cell."""
        missing = int(np.isnan(numbers).sum())
        gone = {"": missing} if missing else {}
        for number in marked_numbers(markers):
            if (found := numbers == number).any():
                numbers = np.where(found, np.nan, numbers)
                gone[number_name(number)] = int(found.sum())
        return cls(kind, numbers=numbers, gone=gone)

    @classmethod
    def of_text(cls, codes: Array, values: list[str], markers: Collection[str], as_text: bool = True) -> Cells:
        """Text by code, which may turn out to be missing throughout or, unless `as_text`, to be true and false.

        markers: what stands for a missing cell, once the spaces around it are taken away.
        """
        stripped = [value.strip() for value in values]
        kept = [value for value in dict.fromkeys(stripped) if value and value not in markers]
        place = {value: code for code, value in enumerate(kept)}
        moved = np.array([*(place.get(value, -1) for value in stripped), -1], dtype=np.int32)  # the last is for -1
        gone = _count_missing(codes, moved, stripped)
        codes = moved[codes]
        if as_text:
            return cls("text", codes=codes, values=kept, gone=gone)
        if {value.lower() for value in kept} <= set(BOOLEANS):
            numbers = np.array([*(BOOLEANS[value.lower()] for value in kept), np.nan])
            return cls("boolean" if kept else "empty", numbers=numbers[codes], gone=gone)
        return cls("text", codes=codes, values=kept, gone=gone)


def _count_missing(codes: Array, moved: Array, values: list[str]) -> dict[str, int]:
    """How often each text that stands for a missing cell occurs; "" for none at all."""
    if (moved[:-1] >= 0).all() and (codes >= 0).all():
        return {}
    counts = np.bincount(codes + 1, minlength=len(values) + 1).tolist()
    gone: dict[str, int] = {}
    for value, kept, count in zip(["", *values], [-1, *moved[:-1].tolist()], counts, strict=True):
        if kept < 0 and count:
            gone[value] = gone.get(value, 0) + count
    return gone
