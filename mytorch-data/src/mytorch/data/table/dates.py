"""Dates and times of day as numbers: year, month, weekday, hour, days since a first day."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime

PARTS: dict[str, Callable[[datetime, date], float]] = {
    "year": lambda day, _: day.year,
    "month": lambda day, _: day.month,
    "day": lambda day, _: day.day,
    "weekday": lambda day, _: day.weekday(),
    "hour": lambda day, _: day.hour + day.minute / 60 + (day.second + day.microsecond / 1e6) / 3600,
    "days": lambda day, first: (day - datetime(first.year, first.month, first.day)).total_seconds() / 86400,
}
"""What a date may become; days are those since the first day, weekday counts from 0 on Monday."""
USUAL = ("year", "month", "weekday", "days")
NO_DAY = date(1900, 1, 1)
"""The day that stands beside a time alone."""

_YEAR_FIRST = r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})"
_YEAR_LAST = r"(?P<a>\d{1,2})(?P<sign>[-/.])(?P<b>\d{1,2})[-/.](?P<c>\d{4})"
_TIME = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?\s*(?P<half>[AaPp][Mm])?"
_DATE = re.compile(rf"(?:{_YEAR_FIRST}|{_YEAR_LAST})(?:[T ]\s*{_TIME}\s*(?:Z|UTC|[+-]\d{{2}}:?\d{{2}})?)?")
_TIME_ALONE = re.compile(_TIME)


def is_date(value: str) -> bool:
    """Whether a cell looks like a date or a time of day."""
    return _matched(value) is not None


def has_day(value: str) -> bool:
    """Whether a date is more than a time of day."""
    return _DATE.fullmatch(value) is not None


def has_time(value: str) -> bool:
    """Whether a date has a time of day."""
    found = _matched(value)
    return found is not None and found["hour"] is not None


def day_comes_first(values: Iterable[str]) -> bool | None:
    """Whether the day is before the month in dates such as 31/01/2024; None if they leave it open, or contradict.

    Dates with points have the day first.
    """
    found = [match for match in map(_DATE.fullmatch, values) if match and match["a"]]
    day_first = any(int(match["a"]) > 12 or match["sign"] == "." for match in found)
    month_first = any(int(match["b"]) > 12 for match in found)
    return None if day_first == month_first else day_first


def order_matters(values: Iterable[str]) -> bool:
    """Whether some dates do not begin with the year."""
    return any(match["a"] for match in map(_DATE.fullmatch, values) if match)


def read_date(value: str, day_first: bool | None = None) -> datetime | None:
    """A cell as a date; times as they are written, whatever their zone. None for what is no day of the calendar."""
    found = _matched(value)
    if found is None:
        return None
    try:
        year, month, day = _day_of(found.groupdict(), bool(day_first))
        return datetime(year, month, day, *_time_of(found))
    except ValueError:
        return None


def _matched(value: str) -> re.Match[str] | None:
    return _DATE.fullmatch(value) or _TIME_ALONE.fullmatch(value)


def _day_of(found: dict[str, str | None], day_first: bool) -> tuple[int, int, int]:
    if found.get("y"):
        return int(found["y"] or 0), int(found["m"] or 0), int(found["d"] or 0)
    if found.get("a") is None:
        return NO_DAY.year, NO_DAY.month, NO_DAY.day
    a, b = int(found["a"] or 0), int(found["b"] or 0)
    return int(found["c"] or 0), b if day_first else a, a if day_first else b


def _time_of(found: re.Match[str]) -> tuple[int, int, int, int]:
    if found["hour"] is None:
        return 0, 0, 0, 0
    hour, half = int(found["hour"]), (found["half"] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError("no hour of half a day")
        hour = hour % 12 + 12 * (half == "pm")
    fraction = (found["fraction"] or "").ljust(6, "0")[:6]
    return hour, int(found["minute"]), int(found["second"] or 0), int(fraction)
