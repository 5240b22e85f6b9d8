"""What a search tries for a setting: a range of numbers, or one of several values."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from mytorch.experiments.errors import ExperimentError
from mytorch.plugins import shown
from mytorch.plugins.setting import toml_value

EXAMPLES = "1e-4..1e-1, log:1e-4..1e-1, 8..64 or relu,tanh"


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, both included; whole numbers if both are.

    log: whether each power of ten is as likely as any other.
    """

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def count(self) -> int | None:
        """How many values there are; None for any number in the range."""
        return int(self.high) - int(self.low) + 1 if self.whole else None

    def kept(self, at: int) -> int:
        """The value at a place, counted from 0, as Optuna keeps it."""
        return int(self.low) + at

    def at(self, share: float) -> float:
        """The number that lies this share of the way from low to high."""
        found = self.low * (self.high / self.low) ** share if self.log else self.low + share * (self.high - self.low)
        return round(found) if self.whole else found

    def __contains__(self, value: object) -> bool:
        kind = int if self.whole else (int, float)
        return isinstance(value, kind) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of several values, as TOML has them."""

    values: tuple[Any, ...]

    @property
    def count(self) -> int | None:
        """How many values there are."""
        return len(self.values)

    def kept(self, at: int) -> str:
        """The value at a place, counted from 0, as Optuna keeps it."""
        return self.name(self.values[at])

    def at(self, share: float) -> Any:
        """The value that lies this share of the way from the first to the last."""
        return self.values[round(share * (len(self.values) - 1))]

    def __contains__(self, value: object) -> bool:
        return any(type(value) is type(one) and value == one for one in self.values)

    def name(self, value: Any) -> str:
        """A value as a text, by which it is kept."""
        return json.dumps(value)

    def value(self, name: str) -> Any:
        """The value of a text."""
        return json.loads(name)


Space = Range | Choice


def parse_over(text: str) -> tuple[tuple[str, ...], Space]:
    """The dotted keys and the values to try for them, from a text such as "optimizer.lr=log:1e-4..1e-1".

    Several keys, separated by commas, get the same value. Raises ExperimentError for a text of another form.
    """
    keys, equals, said = text.partition("=") if isinstance(text, str) else ("", "", "")
    names = tuple(key.strip() for key in keys.split(","))
    if not equals or not all(names):
        raise ExperimentError(f"--over: must look like optimizer.lr=log:1e-4..1e-1, got {shown(text)}")
    return names, parse_space(names[0], said.strip())


def parse_space(key: str, said: str) -> Space:
    """What is tried: "low..high", "log:low..high", values with commas, or a list of TOML. Raises ExperimentError."""
    log = said.startswith("log:")
    text = said.removeprefix("log:")
    if ".." in text:
        low, _, high = text.partition("..")
        return _range(key, said, low, high, log)
    if log:
        raise _misfit(key, said)
    values = toml_value(text) if text.startswith("[") else [toml_value(part.strip()) for part in text.split(",")]
    if not isinstance(values, list) or not all(values.count(one) == 1 for one in values) or len(values) < 2:
        raise _misfit(key, said, ": there must be two values or more, each once")
    return Choice(tuple(values))


def _range(key: str, said: str, first: str, last: str, log: bool) -> Range:
    low, high = toml_value(first.strip()), toml_value(last.strip())
    if not all(type(one) in (int, float) and math.isfinite(one) for one in (low, high)) or not low < high:
        raise _misfit(key, said, ": a range must go from a number to a larger one")
    if log and low <= 0:
        raise _misfit(key, said, ": a range with log: must begin above 0")
    return Range(low, high, log)


def _misfit(key: str, said: str, why: str = "") -> ExperimentError:
    return ExperimentError(f"--over {key}: must be what is tried, such as {EXAMPLES}, got {said[:100]!r}{why}")
