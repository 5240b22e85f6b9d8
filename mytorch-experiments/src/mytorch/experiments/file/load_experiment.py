"""Reading an experiment: by name or from a file, with overrides, and with errors that name the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import tomli_w
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mytorch.core.checks import WIDEST
from mytorch.data.table.open_table import is_address, refuse_address
from mytorch.experiments.errors import ExperimentError, UnknownKeyError
from mytorch.experiments.file.experiment import Experiment, Spec
from mytorch.experiments.file.wording import rule_of, way_out
from mytorch.plugins import UnknownNameError, catalogue, cut, nearest, one_line, parse_toml, shown

Overrides = Mapping[str, Any]
LONGEST = 200
"""Characters of a key."""
PROBLEMS = 10
"""Lines of an error: more are not read at once."""
UNKNOWN = "extra_forbidden"
"""What pydantic calls a key that there is not."""
DEPTH = 200
"""Lists and tables within each other."""
TABLES = (".csv", ".csv.gz", ".tsv", ".parquet", ".npz", ".xlsx", ".xls")
"""Endings of files that hold rows and no experiment."""


def load_experiment(source: str | Path | Mapping[str, Any], overrides: Overrides | None = None) -> Experiment:
    """Load an experiment from a TOML file, from the name of an installed one, or from a dict.

    overrides: values by dotted key, such as {"optimizer.lr": 0.05, "model.layers.0.out_features": 50}.
    Raises ExperimentError with the key, what was expected and what came; UnknownKeyError for a key that there is not;
        UnknownNameError for an unknown name.
    """
    if isinstance(source, Mapping):
        _require_plain("experiment", source)
        origin, content = "experiment", _copy(source)
    else:
        path = find_experiment(source)
        origin, content = str(path), read_toml(path)
        content.setdefault("name", path.stem)
        resolve_paths(content, path.parent)
    before = _types(content)
    for key, value in (overrides or {}).items():
        override(content, key, value)
    _require_plain(origin, content)
    resolve_paths(content, Path())  # what was given here is meant from here
    try:
        experiment = Experiment.model_validate(content)
    except ValidationError as error:
        places = _places(error)
        lines = [_explain(origin, problems) for problems in places]
        more = [f"{origin}: {len(lines) - PROBLEMS} more"] if len(lines) > PROBLEMS else []
        unknown = any(problems[0]["type"] == UNKNOWN for problems in places)
        kind = UnknownKeyError if unknown else ExperimentError
        raise kind("\n".join([*lines[:PROBLEMS], *more])) from None
    _require_effect(experiment, overrides or {})
    changed = f", with {cut(', '.join(overrides), 200)} overridden" if overrides else ""
    experiment._origin = None if isinstance(source, Mapping) else f"{origin}{changed}"
    for name, type_before in before.items():
        spec = getattr(experiment, name)
        if spec is not None:  # an override may take a whole section away
            _note_replaced(name, spec, type_before, overrides or {})
    return experiment


def _require_effect(experiment: Experiment, overrides: Overrides) -> None:
    """Raise UnknownKeyError for an override of the optimizer's rate where the schedule has a rate of its own."""
    if "optimizer.lr" not in overrides or any(key.startswith("schedule") for key in overrides):
        return
    if experiment.schedule is not None and experiment.rate_key != "optimizer.lr":
        raise UnknownKeyError(
            f"--set optimizer.lr: must be left out where the schedule decides every learning rate, got "
            f"{experiment.schedule.type}; set {experiment.rate_key} instead"
        )


def _require_plain(origin: str, content: Mapping[str, Any], place: tuple[str, ...] = ()) -> None:
    """Raise ExperimentError for what nobody means: lists deep in lists, numbers of more than 64 bits, other keys."""
    if len(place) > DEPTH:
        raise ExperimentError(f"{origin}: {_dotted(place)}: must be at most {DEPTH} lists and tables deep, got more")
    for key, value in content.items():
        here = (*place, str(key))
        if len(str(key)) > LONGEST:
            raise ExperimentError(f"{origin}: {_dotted(here)}: a key must have at most {LONGEST} characters, got more")
        if isinstance(value, list):
            value = dict(enumerate(value))
        if isinstance(value, Mapping):
            _require_plain(origin, value, here)
        elif isinstance(value, int) and not -WIDEST <= value <= WIDEST:
            raise ExperimentError(
                f"{origin}: {_dotted(here)}: must be a number of 64 bits at most, got {shown(value)}"
            )


def _dotted(place: tuple[object, ...]) -> str:
    """A place of an experiment as errors name it."""
    return cut(".".join(map(str, place)), 80) or "the file"


def _types(content: Mapping[str, Any]) -> dict[str, str]:
    """The types that a file gives its parts, before anything is overridden."""
    tables = {name: content.get(name) for name in ("loss", "optimizer", "schedule", "rule")}
    return {
        name: table["type"]
        for name, table in tables.items()
        if isinstance(table, Mapping) and isinstance(table.get("type"), str)
    }


def _note_replaced(name: str, spec: Spec, before: str, overrides: Overrides) -> None:
    """Note in a part that an override gave it another type and left it settings that were meant for the former."""
    left = {f"{name}.{argument}" for argument in spec.arguments} - overrides.keys()
    if f"{name}.type" in overrides and spec.type != before and left:
        spec._replaced = before


def resolve_paths(content: dict[str, Any], folder: Path) -> None:
    """Make relative paths of data sets, lists of rows and weights absolute: they mean the same from everywhere."""
    data, model = content.get("data"), content.get("model")
    places = [data.get("train"), data.get("validation"), data.get("test")] if isinstance(data, dict) else []
    if isinstance(model, dict) and "from" in model:
        if isinstance(model["from"], str):
            model["from"] = {"path": model["from"]}
        places.append(model["from"])
    if isinstance(data, dict) and isinstance(data.get("keep"), str) and data["keep"]:
        data["keep"] = str(Path.cwd() / folder / data["keep"])
    for spec in places:
        path = spec.get("path") if isinstance(spec, dict) else None
        if isinstance(spec, dict) and isinstance(path, str) and path and not is_address(path):
            spec["path"] = str(Path.cwd() / folder / path)


def find_experiment(source: str | Path) -> Path:
    """The file that a path or the name of an installed experiment means."""
    if not isinstance(source, (str, Path)):
        raise ExperimentError(
            f"experiment: must be a TOML file, the name of an installed one, or a dict, got {shown(source)}"
        )
    refuse_address(source)
    path = Path(source)
    if path.is_file():
        if "".join(path.suffixes[-2:]).lower().endswith(TABLES):
            raise ExperimentError(
                f"experiment: must be a TOML file or the name of an installed one, got the table {path}; write an "
                f"experiment that learns one of its columns with: mytorch experiment new {path}"
            )
        return path
    what = "a folder" if path.is_dir() else "no such file"
    misfit = f"experiment: must be a TOML file or the name of an installed one, got {what}: {path}"
    if path.suffix == ".toml" or len(path.parts) > 1:
        raise ExperimentError(misfit)
    try:
        found = catalogue().load("experiment", str(source))
    except UnknownNameError as error:
        if path.is_dir():
            raise ExperimentError(misfit) from None
        error.add_note(f"There is no file {str(path)!r} either; an experiment file ends in .toml.")
        raise
    if not isinstance(found, Path) or not found.is_file():
        raise ExperimentError(f"experiment {source}: must be the path of a TOML file, got {shown(found)}")
    return found


def read_toml(path: Path) -> dict[str, Any]:
    """The contents of a TOML file. Raises ExperimentError with the line that cannot be read."""
    text = read_text(path)
    try:
        return parse_toml(text)
    except ValueError as error:
        raise ExperimentError(f"{path}: must be TOML, got something else: {one_line(error)}") from None


def read_text(path: Path) -> str:
    """The text of an experiment file as it is. Raises ExperimentError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or one_line(error)
        raise ExperimentError(f"{path}: must be a readable text file in UTF-8, got {found}") from None


def override(content: dict[str, Any], key: str, value: Any) -> None:
    """Set a value by its dotted key; tables that are absent are made."""
    *parents, last = key.split(".")
    place: Any = content
    for depth, name in enumerate(parents):
        place = place.setdefault(name, {}) if isinstance(place, dict) else _entry(place, name, key)
        if not isinstance(place, (dict, list)):
            above = ".".join(parents[: depth + 1])
            raise UnknownKeyError(f"--set {key}: {above} must be a table or list, got {shown(place)}")
    if isinstance(place, list):
        _entry(place, last, key)
        place[int(last)] = value
    else:
        place[last] = value


def _entry(place: list[Any], index: str, key: str) -> Any:
    if not index.isdecimal() or int(index) >= len(place):
        raise UnknownKeyError(f"--set {key}: index must be a number below {len(place)}, got {shown(index)}")
    return place[int(index)]


def to_toml(experiment: Experiment) -> str:
    """The resolved experiment, every default written out, as a file that loads to the same.

    Raises ExperimentError for an argument that TOML cannot hold.
    """
    try:
        return tomli_w.dumps(experiment.model_dump(exclude_none=True, by_alias=True))
    except TypeError as error:
        raise ExperimentError(f"experiment: every value must be what TOML can hold, got {one_line(error)}") from None


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(entry) for key, entry in value.items()}
    return [_copy(entry) for entry in value] if isinstance(value, list) else value


def _places(error: ValidationError) -> list[list[Any]]:
    """The problems of a validation by the place that they are at: a union has one for each of its branches."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    for problem in error.errors(include_url=False):
        place = tuple(part for part in problem["loc"] if not _is_branch(part))
        found.setdefault(place, []).append({**problem, "loc": place})
    return list(found.values())


def _is_branch(part: int | str) -> bool:
    """Whether a step on the way to a problem is no key but a branch of a union, such as str or list[str]."""
    return part in ("str", "Spec", "rules") or str(part).endswith("]")


def _explain(origin: str, problems: Sequence[Mapping[str, Any]]) -> str:
    """A line about all that is wrong at one place."""
    problem = problems[0]
    place = problem["loc"]
    key = _dotted(place)
    if problem["type"] == UNKNOWN:
        return f"{origin}: {key}: unknown key. {nearest(str(place[-1]), _fields(place[:-1]))}"
    if problem["type"] == "missing":
        return f"{origin}: {key}: must be given"
    if problem["type"] == "model_type":
        first = next(iter(_fields(place)), "type")
        example = f'{first} = "..."' if first in ("type", "path") else f"{first} = ..."
        return f"{origin}: {key}: must be a table such as {{ {example} }}, got {shown(problem['input'])}"
    if problem["type"] == "value_error":
        return f"{origin}: {key}: {problem['ctx']['error']}"
    rules = " or ".join(dict.fromkeys(map(rule_of, problems)))
    return f"{origin}: {key}: must be {rules}, got {shown(problem['input'])}{way_out(problem)}"


def _fields(place: tuple[Any, ...]) -> list[str]:
    """The keys that may stand at a place of an experiment."""
    model: type[BaseModel] = Experiment
    for part in place:
        field = {_key(name, field): field for name, field in model.model_fields.items()}.get(str(part))
        if field is None:
            return []
        options = [field.annotation, *get_args(field.annotation)]
        models = [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
        if not models:
            return []
        model = models[0]
    return [_key(name, field) for name, field in model.model_fields.items()]


def _key(name: str, field: FieldInfo) -> str:
    """What a field is called in a file: `from` is no name in Python."""
    return field.alias or name
