"""Reading an experiment: by name or from a file, with overrides, and with errors that name the key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import tomli_w
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mytorch.data.table.open_table import is_address
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.file.experiment import Experiment
from mytorch.plugins import UnknownNameError, catalogue, nearest

Overrides = Mapping[str, Any]


def load_experiment(source: str | Path | Mapping[str, Any], overrides: Overrides | None = None) -> Experiment:
    """An experiment from a TOML file, from the name of an installed one, or from a dict.

    overrides: values by dotted key, such as {"optimizer.lr": 0.05, "model.layers.0.out_features": 50}.
    Raises ExperimentError with the key, what was expected and what came; UnknownNameError for an unknown name.
    """
    if isinstance(source, Mapping):
        origin, content = "experiment", _copy(source)
    else:
        path = find_experiment(source)
        origin, content = str(path), read_toml(path)
        content.setdefault("name", path.stem)
        resolve_paths(content, path.parent)
    for key, value in (overrides or {}).items():
        override(content, key, value)
    resolve_paths(content, Path())  # what was given here is meant from here
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise ExperimentError("\n".join(_explain(origin, problem) for problem in _distinct(error))) from None


def resolve_paths(content: dict[str, Any], folder: Path) -> None:
    """Make relative paths of data sets and weights absolute, so that the experiment means the same from everywhere."""
    data, model = content.get("data"), content.get("model")
    places = [data.get("train"), data.get("validation"), data.get("test")] if isinstance(data, dict) else []
    if isinstance(model, dict) and "from" in model:
        if isinstance(model["from"], str):
            model["from"] = {"path": model["from"]}
        places.append(model["from"])
    for spec in places:
        path = spec.get("path") if isinstance(spec, dict) else None
        if isinstance(spec, dict) and isinstance(path, str) and path and not is_address(path):
            spec["path"] = str(Path.cwd() / folder / path)


def find_experiment(source: str | Path) -> Path:
    """The file that a path or the name of an installed experiment means."""
    path = Path(source)
    if path.is_file():
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
        raise ExperimentError(f"experiment {source}: must be the path of a TOML file, got {found!r}")
    return found


def read_toml(path: Path) -> dict[str, Any]:
    """The contents of a TOML file. Raises ExperimentError with the line that cannot be read."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"{path}: must be TOML, got something else: {error}") from None


def read_text(path: Path) -> str:
    """The text of an experiment file as it is. Raises ExperimentError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: must be a readable text file in UTF-8, got {error}") from None


def override(content: dict[str, Any], key: str, value: Any) -> None:
    """Set a value by its dotted key; tables that are absent are made."""
    *parents, last = key.split(".")
    place: Any = content
    for depth, name in enumerate(parents):
        place = place.setdefault(name, {}) if isinstance(place, dict) else _entry(place, name, key)
        if not isinstance(place, (dict, list)):
            above = ".".join(parents[: depth + 1])
            raise ExperimentError(f"--set {key}: {above} must be a table or list, got {place!r}")
    if isinstance(place, list):
        _entry(place, last, key)
        place[int(last)] = value
    else:
        place[last] = value


def _entry(place: list[Any], index: str, key: str) -> Any:
    if not index.isdecimal() or int(index) >= len(place):
        raise ExperimentError(f"--set {key}: index must be a number below {len(place)}, got {index!r}")
    return place[int(index)]


def to_toml(experiment: Experiment) -> str:
    """The resolved experiment, every default written out, as a file that loads to the same.

    Raises ExperimentError for an argument that TOML cannot hold.
    """
    try:
        return tomli_w.dumps(experiment.model_dump(exclude_none=True, by_alias=True))
    except TypeError as error:
        raise ExperimentError(f"experiment: every value must be what TOML can hold, got {error}") from None


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(entry) for key, entry in value.items()}
    return [_copy(entry) for entry in value] if isinstance(value, list) else value


def _distinct(error: ValidationError) -> list[Any]:
    """The problems of a validation, one a place: a union reports each of its branches."""
    first: dict[tuple[Any, ...], Any] = {}
    for problem in error.errors(include_url=False):
        place = tuple(part for part in problem["loc"] if part not in ("str", "Spec", "rules"))
        first.setdefault(place, {**problem, "loc": place})
    return list(first.values())


def _explain(origin: str, problem: Mapping[str, Any]) -> str:
    place = problem["loc"]
    key = ".".join(str(part) for part in place) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"{origin}: {key}: unknown key. {nearest(str(place[-1]), _fields(place[:-1]))}"
    if problem["type"] == "missing":
        return f"{origin}: {key}: must be given"
    if problem["type"] == "model_type":
        first = next(iter(_fields(place)), "type")
        example = f'{first} = "..."' if first in ("type", "path") else f"{first} = ..."
        return f"{origin}: {key}: must be a table such as {{ {example} }}, got {problem['input']!r}"
    if problem["type"] == "value_error":
        return f"{origin}: {key}: {problem['ctx']['error']}"
    rule = problem["msg"].removeprefix("Input should be ")
    rule = rule if rule.startswith("must") else f"must be {rule}"
    return f"{origin}: {key}: {rule}, got {problem['input']!r}"


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
