"""Nested state as a table of tensors and a text, which is how a safetensors file holds it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import StateError, kind_of, persistent

TENSOR, COMPLEX, TUPLE, ITEMS, NUMBER = "$tensor", "$complex", "$tuple", "$items", "$number"
"""What stands in the text for a tensor, a complex tensor, a tuple, a dict whose keys are not plain strings, and a
number that JSON has not: each the one key of an object."""


def pack(state: Any) -> tuple[dict[str, Tensor], str]:
    """The tensors of nested dicts, lists, tuples, numbers and strings, by their places, and JSON of everything else.

    The tensors are copies. Raises StateError, with the place, for anything else.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, json.dumps(_packed(state, "", tensors), allow_nan=False)


def unpack(tensors: Mapping[str, Tensor], text: str) -> Any:
    """What was packed. Raises StateError for a text that `pack` did not write."""
    try:
        return _unpacked(json.loads(text), tensors)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise StateError(f"a packed state must be as pack writes it, got {type(error).__name__}: {error}") from error


def _packed(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        return _packed_tensor(value, place, tensors)
    if isinstance(value, float) and not math.isfinite(value):
        return {NUMBER: repr(float(value))}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        entries = [_packed(entry, f"{place}.{index}", tensors) for index, entry in enumerate(value)]
        return {TUPLE: entries} if isinstance(value, tuple) else entries
    if isinstance(value, Mapping):
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: _packed(entry, f"{place}.{key}", tensors) for key, entry in value.items()}
        pairs = enumerate(value.items())
        return {ITEMS: [[key, _packed(entry, f"{place}.{_name(key, at)}", tensors)] for at, (key, entry) in pairs]}
    raise StateError(
        f"state: {place.lstrip('.') or 'it'} must be a tensor, number, string, list, tuple or dict, "
        f"got {kind_of(value)}"
    )


def _packed_tensor(value: Tensor, place: str, tensors: dict[str, Tensor]) -> Any:
    name = place.lstrip(".") or "tensor"
    if name in tensors:
        name = f"{name}#{len(tensors)}"
    here = value.cpu().detach().contiguous()
    copy = persistent(here) if value.is_cpu else here
    tensors[name] = torch.view_as_real(copy.resolve_conj()) if copy.is_complex() else copy
    return {COMPLEX if copy.is_complex() else TENSOR: name}


def _name(key: Any, at: int) -> str:
    """How a key stands in the place of what it leads to. Raises StateError for a key that JSON would change."""
    if type(key) not in (str, int):
        raise StateError(f"state: a key must be a string or a whole number, got {kind_of(key)}")
    return str(key) if type(key) is int else f"item{at}"


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpacked(entry, tensors) for entry in value]
    if not isinstance(value, dict):
        return value
    kind = next(iter(value), "")
    if not kind.startswith("$"):
        return {key: _unpacked(entry, tensors) for key, entry in value.items()}
    held = value[kind]
    if kind in (TENSOR, COMPLEX):
        return tensors[held] if kind == TENSOR else torch.view_as_complex(tensors[held])
    if kind == ITEMS:
        return {key: _unpacked(entry, tensors) for key, entry in held}
    if kind == NUMBER:
        return float(held)
    if kind == TUPLE:
        return tuple(_unpacked(entry, tensors) for entry in held)
    raise KeyError(kind)
