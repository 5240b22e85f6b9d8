"""JSON bodies: what is none of it is told with its place."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from mytorch.experiments.serve.refusal import Refusal
from mytorch.plugins import shown


def read_object(body: bytes, key: str, others: tuple[str, ...] = ()) -> dict[str, Any]:
    """The object of a body, which has this key and may have the others. Raises Refusal, 400 or 422."""
    told = _read(body)
    if not isinstance(told, dict):
        raise Refusal(422, f'request: must be a JSON object with the key "{key}", got {kind_of_json(told)}')
    if key not in told:
        raise Refusal(422, f'request: must have the key "{key}", got {_keys(told)}')
    if extra := [name for name in told if name not in (key, *others)]:
        raise Refusal(422, f'request: must have the key "{key}" alone, got {shown(extra[0])} too')
    return told


def require_list(told: dict[str, Any], key: str) -> list[Any]:
    """The list under a key, which must not be empty. Raises Refusal."""
    rows = told[key]
    if not isinstance(rows, list):
        raise Refusal(422, f'request: "{key}" must be a list, got {kind_of_json(rows)}')
    if not rows:
        raise Refusal(422, f'request: "{key}" must have at least one entry, got none')
    return rows


def kind_of_json(value: Any) -> str:
    """What a value is called in JSON."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    kinds = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number"}
    return kinds[type(value)]


def _read(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_without_twins)
    except json.JSONDecodeError as error:
        raise Refusal(
            400, f"request: must be JSON, got {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise Refusal(
            400, "request: must be JSON of few levels, got too many lists or objects in one another"
        ) from None
    except ValueError as error:  # no UTF-8, or a number of thousands of digits
        raise Refusal(400, f"request: must be JSON, got {str(error).splitlines()[0][:200]}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise Refusal(400, f"request: must be JSON, which has no {name}; null stands for what is missing")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refusal(400, f"request: keys of an object must be different, got {shown(twice)} twice")
    return told


def _keys(told: dict[str, Any]) -> str:
    return ", ".join(map(shown, list(told)[:5])) or "an empty object"
