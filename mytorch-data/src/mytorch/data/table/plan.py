"""Which columns of a file are read, and as what."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from mytorch.core import ArgumentError
from mytorch.data.table.errors import TableError, TableWarning, listed, shown
from mytorch.data.table.numerals import Numerals, is_number_name
from mytorch.data.table.options import ENCODE, Encode, Options, require_option
from mytorch.data.table.reading import proposed
from mytorch.data.table.recipe import Recipe
from mytorch.data.table.source import Source
from mytorch.plugins import nearest

LEAVE_OUT = "or leave the column out of features"


@dataclass
class Plan:
    """What to gather.

    options: what is to become of the columns.
    encode: how the columns of text that are named become numbers; `otherwise` how the others do, None for not at all.
    as_text: columns that are read as text; more may turn out to be.
    dates: columns of dates.
    known: for a file that must fit a former one, the categories and classes of that one.
    exact: whether the classes are numbers too large for a float64, which are told apart by their text.
    """

    features: list[str]
    target: str | None
    options: Options
    dtype: torch.dtype
    encode: dict[str, str] = field(default_factory=dict)
    otherwise: str | None = None
    as_text: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)
    known: dict[str, tuple[str, ...]] = field(default_factory=dict)
    like: bool = False
    exact: bool = False

    @property
    def columns(self) -> list[str]:
        """All columns that are read."""
        return self.features if self.target is None else [*self.features, self.target]

    def encoding(self, name: str) -> str | None:
        """How a feature becomes numbers if it is text."""
        return self.encode.get(name, self.otherwise)


def plan(
    source: Source, target: str | None, features: Sequence[str] | None, options: Options, dtype: torch.dtype
) -> Plan:
    """The plan for a file to learn from. Raises ArgumentError and TableError for columns that there are not."""
    if target is None:
        raise ArgumentError(
            f"Table: target must name the column to be predicted, got none. Known: {listed(source.names, 20)}."
        )
    target = target.strip()
    _require_column(source, "target", target)
    if features is None:
        _require_all_named(source)
        chosen = [name for name in source.names if name != target]
    else:
        chosen = [name.strip() for name in features]
    known = set(source.names)
    for name in chosen:
        if name not in known:
            _require_column(source, "features", name)
    if target in chosen or len(set(chosen)) < len(chosen):
        raise ArgumentError(f"Table: features must be different columns without the target, got {listed(chosen)}")
    if not chosen:
        advice = _other_delimiter(source)
        raise ArgumentError(
            f"Table: features must name at least one column, got none beside {shown(target)}{advice and '.' + advice}"
        )
    made = Plan(chosen, target, options, dtype)
    _set_encode(made, options.encode)
    made.as_text |= {name for name in made.columns if source.kinds.get(name) == "text"}
    if options.date_parts:
        made.dates |= {name for name in chosen if source.kinds.get(name) == "date"}
        made.as_text |= made.dates
    _require_usable(source, made)
    return made


def plan_like(source: Source, recipe: Recipe, dtype: torch.dtype) -> Plan:
    """The plan for a file that must have the columns of a former one, in any order and with or without the target."""
    names = list(dict.fromkeys(feature.name for feature in recipe.features))
    there = set(source.names)
    if absent := [name for name in names if name not in there]:
        raise TableError(
            f"{source.path}: must have the columns that were trained on, got none named {listed(map(repr, absent))}. "
            f"{nearest(absent[0], source.names)}{_other_delimiter(source)}"
        )
    used = {*names, recipe.target.name, *recipe.left_out}
    if extra := [name for name in source.names if name not in used]:
        warnings.warn(
            f"{source.path}: columns that were not trained on are not used: {listed(map(repr, extra))}",
            TableWarning,
            stacklevel=4,
        )
    target = recipe.target.name if recipe.target.name in source.names else None
    classes = recipe.target.classes
    task = "regression" if classes is None else "classification"
    options = Options(task, missing=recipe.missing, unseen=recipe.unseen)
    made = Plan(names, target, options, dtype, like=True)
    text = [feature for feature in recipe.features if feature.kind in ("one-hot", "ordinal")]
    made.known = {feature.name: feature.categories for feature in text}
    made.encode = {feature.name: feature.kind for feature in text}
    if classes is not None:
        made.known[recipe.target.name] = classes
    made.dates = {feature.name for feature in recipe.features if feature.kind == "date"}
    made.as_text = (set(made.known) | made.dates) & set(made.columns)
    if source.kinds.get(recipe.target.name) != "text" and all(map(is_number_name, classes or ())):
        made.as_text.discard(recipe.target.name)  # 1.0 is the class 1
    made.exact = target in made.as_text and all(map(Numerals().is_number, classes or ()))
    _require_usable(source, made)
    return made


def _set_encode(made: Plan, encode: Encode) -> None:
    if encode is None:
        return
    if isinstance(encode, str):
        require_option("encode", encode, ENCODE)
        made.otherwise = encode
        return
    chosen = {name.strip(): choice for name, choice in encode.items()}
    for name, choice in chosen.items():
        require_option(f"encode of {shown(name)}", choice, ENCODE)
        if name not in made.features:
            raise ArgumentError(f"Table: encode must name features, got {shown(name)}. {nearest(name, made.features)}")
    made.encode = chosen
    made.as_text |= set(chosen)  # numbers too, such as codes of places


def _require_all_named(source: Source) -> None:
    """Refuse to learn from columns without a name, unless they are left out."""
    if source.unnamed:
        raise TableError(
            f"{source.path}: every column to learn from must have a name, got none for column "
            f"{listed(source.unnamed)}; leave it out by naming the others in features, or name it in the first line "
            "(a row number that pandas wrote is left out by to_csv(index=False))"
        )


def _require_column(source: Source, subject: str, name: str) -> None:
    if name not in source.names:
        raise ArgumentError(
            f"Table: {subject} must name a column of {source.path}, got {shown(name)}. "
            f"{nearest(name, source.names)}{_other_delimiter(source)}"
        )


def _other_delimiter(source: Source) -> str:
    """The advice for a file of one column, which another delimiter may separate into several."""
    if len(source.names) > 1:
        return ""
    other = source.fitting()
    advice = f"choose {proposed(other)}, which fits every row" if other else "choose a delimiter"
    return f" If the columns are separated by something else, {advice}."


def _require_usable(source: Source, made: Plan) -> None:
    """Refuse what the format itself calls a date or something that is no cell of a table."""
    for name in made.columns:
        kind = source.kinds.get(name, "number")
        if kind == "date" and name not in made.dates:
            raise TableError(f"{source.path}: column {shown(name)} {no_dates(kind)}")
        if kind not in ("number", "boolean", "text", "date"):
            raise TableError(
                f"{source.path}: column {shown(name)} must hold numbers, booleans or text, got {kind}; "
                "leave it out of features"
            )
        if kind == "text" and made.like and name not in made.known and name not in made.dates:
            raise TableError(f"{source.path}: column {shown(name)} must hold numbers, as it did in training, got text")


def no_dates(got: str) -> str:
    """Why a date is not taken, and what to do about it."""
    return (
        f'must hold numbers or categories, got dates ({got}); dates = "parts" makes year, month, weekday and days of '
        f"a feature, {LEAVE_OUT}"
    )
