"""Which columns of a file are read, and as what."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from mytorch.core import ArgumentError
from mytorch.data.table.cells import is_number_name
from mytorch.data.table.errors import TableError, TableWarning, listed
from mytorch.data.table.recipe import Recipe
from mytorch.data.table.source import Source
from mytorch.plugins import nearest

ENCODE, MISSING, TASKS = ("one-hot", "ordinal"), ("mean", "median", "drop"), ("classification", "regression")
Encode = str | Mapping[str, str] | None
LEAVE_OUT = "or leave the column out of features"


@dataclass
class Plan:
    """What to gather.

    encode: how the columns of text that are named become numbers; `otherwise` how the others do, None for not at all.
    as_text: columns that are read as categories; more may turn out to be.
    known: for a file that must fit a former one, the categories and classes of that one.
    """

    features: list[str]
    target: str | None
    task: str | None
    missing: str | None
    dtype: torch.dtype
    encode: dict[str, str] = field(default_factory=dict)
    otherwise: str | None = None
    as_text: set[str] = field(default_factory=set)
    known: dict[str, tuple[str, ...]] = field(default_factory=dict)
    like: bool = False

    @property
    def columns(self) -> list[str]:
        """All columns that are read."""
        return self.features if self.target is None else [*self.features, self.target]

    def encoding(self, name: str) -> str | None:
        """How a feature becomes numbers if it is text."""
        return self.encode.get(name, self.otherwise)


def require_option(subject: str, value: object, valid: Sequence[str]) -> None:
    """Raise ArgumentError, with the nearest, unless an option is one of those that there are."""
    if value not in valid:
        raise ArgumentError(
            f"Table: {subject} must be one of {', '.join(valid)}, got {value!r}. {nearest(str(value), valid)}"
        )


def plan(
    source: Source,
    target: str | None,
    features: Sequence[str] | None,
    task: str | None,
    encode: Encode,
    missing: str | None,
    dtype: torch.dtype,
) -> Plan:
    """The plan for a file to learn from. Raises ArgumentError and TableError for columns that there are not."""
    if target is None:
        raise ArgumentError(
            f"Table: target must name the column to be predicted, got none. Known: {listed(source.names, 20)}."
        )
    if task is not None:
        require_option("task", task, TASKS)
    if missing is not None:
        require_option("missing", missing, MISSING)
    _require_column(source, "target", target)
    chosen = [name for name in source.names if name != target] if features is None else list(features)
    known = set(source.names)
    for name in chosen:
        if name not in known:
            _require_column(source, "features", name)
    if target in chosen or len(set(chosen)) < len(chosen):
        raise ArgumentError(f"Table: features must be different columns without the target, got {listed(chosen)}")
    if not chosen:
        raise ArgumentError(f"Table: features must name at least one column, got none beside {target!r}")
    made = Plan(chosen, target, task, missing, dtype)
    _set_encode(made, encode)
    made.as_text |= {name for name in made.columns if source.kinds.get(name) == "text"}
    _require_usable(source, made)
    return made


def plan_like(source: Source, recipe: Recipe, dtype: torch.dtype) -> Plan:
    """The plan for a file that must have the columns of a former one, in any order and with or without the target."""
    names = [feature.name for feature in recipe.features]
    there = set(source.names)
    if absent := [name for name in names if name not in there]:
        raise TableError(
            f"{source.path}: must have the columns that were trained on, got none named {listed(map(repr, absent))}. "
            f"{nearest(absent[0], source.names)}"
        )
    used = {*names, recipe.target.name, *recipe.left_out}
    if extra := [name for name in source.names if name not in used]:
        warnings.warn(
            f"{source.path}: columns that were not trained on are not used: {listed(map(repr, extra))}",
            TableWarning,
            stacklevel=4,
        )
    target = recipe.target.name if recipe.target.name in source.names else None
    made = Plan(names, target, None, recipe.missing, dtype, like=True)
    made.known = {feature.name: feature.categories for feature in recipe.features if feature.kind != "number"}
    made.encode = {feature.name: feature.kind for feature in recipe.features if feature.kind != "number"}
    if recipe.target.classes is not None:
        made.known[recipe.target.name] = recipe.target.classes
    made.task = "regression" if recipe.target.classes is None else "classification"
    made.as_text = set(made.known) & set(made.columns)
    if source.kinds.get(recipe.target.name) != "text" and all(map(is_number_name, recipe.target.classes or ())):
        made.as_text.discard(recipe.target.name)  # 1.0 is the class 1
    _require_usable(source, made)
    return made


def _set_encode(made: Plan, encode: Encode) -> None:
    if encode is None:
        return
    if isinstance(encode, str):
        require_option("encode", encode, ENCODE)
        made.otherwise = encode
        return
    for name, choice in encode.items():
        require_option(f"encode of {name!r}", choice, ENCODE)
        if name not in made.features:
            raise ArgumentError(f"Table: encode must name features, got {name!r}. {nearest(name, made.features)}")
    made.encode = dict(encode)
    made.as_text |= set(encode)  # numbers too, such as codes of places


def _require_column(source: Source, subject: str, name: str) -> None:
    if name not in source.names:
        parted = "" if len(source.names) > 1 else " If columns are parted by something else, choose a delimiter."
        raise ArgumentError(
            f"Table: {subject} must name a column of {source.path}, got {name!r}. "
            f"{nearest(name, source.names)}{parted}"
        )


def _require_usable(source: Source, made: Plan) -> None:
    """Refuse what the format itself calls a date or something that is no cell of a table."""
    for name in made.columns:
        kind = source.kinds.get(name, "number")
        if kind == "date":
            raise TableError(f"{source.path}: column {name!r} {no_dates(kind)}")
        if kind not in ("number", "boolean", "text"):
            raise TableError(
                f"{source.path}: column {name!r} must hold numbers, booleans or text, got {kind}; "
                "leave it out of features"
            )
        if kind == "text" and made.like and name not in made.known:
            raise TableError(f"{source.path}: column {name!r} must hold numbers, as it did in training, got text")


def no_dates(got: str) -> str:
    """Why a date is not taken, and what to do about it."""
    return (
        f"must hold numbers or categories, got dates ({got}); turn them into numbers first (days since a first day, "
        f"month, weekday), {LEAVE_OUT}"
    )
