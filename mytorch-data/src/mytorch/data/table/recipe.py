"""What a table has taught: its columns, encodings, fills and classes, as JSON keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from mytorch.core import ArgumentError
from mytorch.data.table.reading import Reading
from mytorch.plugins import one_line, shown

KEY = "table"
FeatureKind = Literal["number", "one-hot", "ordinal", "date", "missing"]


@dataclass(frozen=True)
class Feature:
    """One column of the file and how it becomes one or several of the inputs; a date is a feature for each part.

    categories: those of text.
    part, first, day_first: of a date, which part of it, the day from which days are counted, and whether the day
        stands before the month.
    fill: what stands for a missing cell: a number, or the place among the categories.
    gone: how many cells were missing, by the text that stood in them.
    """

    name: str
    kind: FeatureKind
    categories: tuple[str, ...] = ()
    fill: float | None = None
    part: str | None = None
    first: str | None = None
    day_first: bool | None = None
    gone: Mapping[str, int] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the input columns that it becomes."""
        if self.kind == "one-hot":
            return tuple(f"{self.name}={category}" for category in self.categories)
        if self.kind == "missing":
            return (f"{self.name} is missing",)
        return (self.name if self.part is None else f"{self.name} {self.part}",)

    def to_json(self) -> dict[str, Any]:
        """As a run keeps it."""
        told: dict[str, Any] = {"name": self.name, "kind": self.kind}
        if self.kind in ("one-hot", "ordinal"):
            told["categories"] = list(self.categories)
        kept = {name: getattr(self, name) for name in ("fill", "part", "first", "day_first")}
        told |= {name: value for name, value in kept.items() if value is not None}
        return {**told, "gone": dict(self.gone)} if self.gone else told


@dataclass(frozen=True)
class Target:
    """The column that is to be predicted; classes are None for numbers."""

    name: str
    classes: tuple[str, ...] | None

    def to_json(self) -> dict[str, Any]:
        """As a run keeps it."""
        if self.classes is None:
            return {"name": self.name, "kind": "number"}
        return {"name": self.name, "kind": "classes", "classes": list(self.classes)}


@dataclass(frozen=True)
class Recipe:
    """Everything that another file with the same columns needs.

    unseen: what becomes of a category that is none of the known, None if it is refused.
    left_out: columns that are known and not used.  rows: how many the file had.
    """

    features: tuple[Feature, ...]
    target: Target
    missing: str | None
    reading: Reading
    left_out: tuple[str, ...] = ()
    unseen: str | None = None
    rows: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all input columns."""
        return tuple(column for feature in self.features for column in feature.columns)

    def with_fills(self, fills: list[float]) -> Recipe:
        """The same with other fills."""
        pairs = zip(self.features, fills, strict=True)
        return replace(self, features=tuple(replace(feature, fill=fill) for feature, fill in pairs))

    def to_json(self) -> dict[str, Any]:
        """As a run keeps it, under the key "table"."""
        return {
            KEY: {
                "features": [feature.to_json() for feature in self.features],
                "target": self.target.to_json(),
                "missing": self.missing,
                "unseen": self.unseen,
                "reading": self.reading.to_json(),
                "left_out": list(self.left_out),
                "rows": self.rows,
            }
        }

    @classmethod
    def from_json(cls, preparation: Mapping[str, Any]) -> Recipe:
        """Build it again. Raises ArgumentError for what `to_json` did not give."""
        try:
            told = preparation[KEY]
            target = told["target"]
            return cls(
                tuple(_feature(**feature) for feature in told["features"]),
                Target(_text(target["name"]), _texts(target["classes"]) if target["kind"] == "classes" else None),
                _option(told["missing"]),
                Reading(**told["reading"]),
                _texts(told.get("left_out", [])),
                _option(told.get("unseen")),
                _number(told.get("rows", 0)),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ArgumentError(
                f"Table: like must be the preparation of a Table, got one that lacks or misstates {one_line(error)}"
            ) from error


def _feature(name: str, kind: FeatureKind, categories: list[str] = [], **others: Any) -> Feature:  # noqa: B006
    if kind not in get_args(FeatureKind):
        raise TypeError(f"the kind of a column: {shown(kind)}")
    for option in ("part", "first"):
        _option(others.get(option))
    if others.get("fill") is not None:
        _number(others["fill"])
    if not isinstance(others.get("gone", {}), Mapping):
        raise TypeError(f"what was missing: {shown(others['gone'])}")
    return Feature(_text(name), kind, _texts(categories), **others)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text: {shown(value)}")
    return value


def _option(value: object) -> str | None:
    return None if value is None else _text(value)


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"a list of texts: {shown(values)}")
    return tuple(map(_text, values))


def _number(value: Any) -> Any:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"a number: {shown(value)}")
    return value
