"""How numbers are written in a text file: their decimal sign, what parts thousands, and units beside them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property, lru_cache
from typing import Any

SPACES = " \u00a0\u2009\u202f"
"""What parts thousands where that is a space: those that do not break a line, too."""
CODES = ("EUR", "USD", "GBP", "CHF", "JPY", "CNY", "INR")
"""Currencies that are proposed as units beside signs such as $ and %."""
EXACT = 2**53
"""From here, not every whole number has a float64 of its own."""
_AMOUNT = re.compile(r"[+-]?\s*(?P<before>[^\d\s.,+-]*)\s*[+-]?[\d.,' \u00a0\u2009\u202f]*\d\s*(?P<after>[^\d\s.,]*)")


@dataclass(frozen=True)
class Numerals:
    """decimal: "." or ",".  thousands: what parts groups of three digits; nothing if empty.
    units: what may stand before or after a number and does not count.
    decimal_comma: whether the comma of 7,500 is likelier a decimal sign, as in a file with semicolons between cells.
    """

    decimal: str = "."
    thousands: str = ""
    units: tuple[str, ...] = ()
    decimal_comma: bool = field(default=False, compare=False)

    @cached_property
    def separator(self) -> str:
        """The pattern of what parts thousands."""
        return f"[{SPACES}]" if self.thousands == " " else re.escape(self.thousands)

    @cached_property
    def grouped(self) -> str:
        """The pattern of a number in groups of three digits; 0,250 is none, since it would be written as 250."""
        return rf"^[+-]?[1-9]\d{{0,2}}(?:{self.separator}\d{{3}})+(?:{re.escape(self.decimal)}\d*)?$"

    @cached_property
    def unit_before(self) -> str:
        """The pattern of a sign and a unit before a number; the sign is its group."""
        return rf"^([+-]?)\s*(?:{self._any_unit})\s*"

    @cached_property
    def unit_after(self) -> str:
        """The pattern of a unit after a number."""
        return rf"\s*(?:{self._any_unit})$"

    @cached_property
    def _any_unit(self) -> str:
        return "|".join(map(re.escape, sorted(self.units, key=len, reverse=True)))

    def plain(self, value: str) -> str:
        """A cell as `float` reads it, if it is a number."""
        value = value.strip()
        if self.units:
            value = re.sub(self.unit_after, "", re.sub(self.unit_before, r"\1", value))
        if self.thousands and re.match(self.grouped, value):
            value = re.sub(self.separator, "", value)
        if self.decimal == ",":  # 1.234 would be read as 1.234 where it means 1234
            value = value.replace(".", "?").replace(",", ".")
        return value

    def is_number(self, value: str) -> bool:
        """Whether a cell is a number."""
        value = self.plain(value)
        try:
            float(value)
        except ValueError:
            return False
        return "_" not in value and value.isascii()

    def exact(self, value: str) -> str:
        """The name of a number of any size, the same for 1, 1.0 and 01; any other cell as it is."""
        if not self.is_number(value):
            return value
        try:
            number = Decimal(self.plain(value))
        except InvalidOperation:
            return value
        if number.is_finite() and abs(number) < 10**40 and number == number.to_integral_value():
            return str(int(number))
        return number_name(float(number))


def marked_numbers(markers: Iterable[str]) -> list[float]:
    """The numbers among the texts that stand for a missing cell, such as -999."""
    return list(_marked_numbers(tuple(markers)))


@lru_cache(maxsize=64)  # columns have the same markers as a rule, and the small tables of requests are read often
def _marked_numbers(markers: tuple[str, ...]) -> tuple[float, ...]:
    found = (float(marker) for marker in markers if Numerals().is_number(marker))
    return tuple(number for number in found if number == number)


def number_name(value: float) -> str:
    """A number as the name of a class."""
    return str(int(value)) if abs(value) < EXACT and value == round(value) else repr(float(value))


def is_number_name(name: str) -> bool:
    """Whether a class may be called so because its cells are numbers."""
    return Numerals().is_number(name) and number_name(float(name)) == name


def other_numerals(values: Iterable[str], now: Numerals) -> dict[str, Any]:
    """The options of a table under which all these cells are numbers, if there are any beside those it has."""
    values = list(values)
    units = tuple(sorted({unit for value in values for unit in _units(value)} | set(now.units)))
    commas = [(",", ""), (".", ",")] if now.decimal_comma else [(".", ","), (",", "")]
    ways = [(now.decimal, now.thousands), *commas, (",", "."), (".", " "), (",", " "), (".", "'")]
    for decimal, thousands in ways:
        for tried in (Numerals(decimal, thousands, now.units), Numerals(decimal, thousands, units)):
            if values and tried != now and all(map(tried.is_number, values)):
                return {
                    name: list(value) if name == "units" else value
                    for name in ("decimal", "thousands", "units")
                    if (value := getattr(tried, name)) != getattr(now, name)
                }
    return {}


def _units(value: str) -> list[str]:
    """The currency or percent sign beside the number of a cell."""
    found = _AMOUNT.fullmatch(value.strip())
    texts = [] if found is None else [found["before"], found["after"]]
    return [text for text in texts if text in CODES or text in ("%", "‰") or _is_currency(text)]


def _is_currency(text: str) -> bool:
    """Whether a text is the sign of a currency."""
    return len(text) == 1 and unicodedata.category(text) == "Sc"
