"""The tensors inside of nested values, and the nesting without them, since autograd takes only tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


@dataclass(frozen=True)
class Place:
    """Where a tensor was: its number in the list of tensors."""

    index: int


def taken_apart(value: Any) -> tuple[list[Tensor], Any]:
    """The tensors inside of tuples, lists, dicts and dataclasses, and the same nesting with a `Place` for each."""
    tensors: list[Tensor] = []

    def place(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        tensors.append(leaf)
        return Place(len(tensors) - 1)

    return tensors, mapped(value, place)


def put_together(nesting: Any, tensors: Sequence[Tensor | None]) -> Any:
    """The inverse: containers are new ones, so that whoever empties a list empties none that is needed again."""
    return mapped(nesting, lambda leaf: tensors[leaf.index] if isinstance(leaf, Place) else leaf)


def mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """The same nesting of containers with each leaf replaced."""
    if type(value) is list:
        return [mapped(entry, function) for entry in value]
    if isinstance(value, PackedSequence):  # of which only the data have a gradient
        data = mapped(value.data, function)
        return None if data is None else PackedSequence(data, *value[1:])
    if type(value) is tuple:
        return tuple(mapped(entry, function) for entry in value)
    if hasattr(value, "_fields") and isinstance(value, tuple):
        return type(value)(*(mapped(entry, function) for entry in value))
    if type(value) is dict:
        return {key: mapped(entry, function) for key, entry in value.items()}
    if is_dataclass(value) and not isinstance(value, (type, Place)):
        copied = copy.copy(value)
        for field in fields(value):
            object.__setattr__(copied, field.name, mapped(getattr(value, field.name), function))
        return copied
    return function(value)


def at_places(nesting: Any, given: Any, count: int) -> list[Any]:
    """What stands in `given` at each of `count` places; None where `given` ends earlier, in a None."""
    found: list[Any] = [None] * count
    _fill(nesting, given, found)
    return found


def _fill(nesting: Any, given: Any, found: list[Any]) -> None:
    if given is None:
        return
    if isinstance(nesting, Place):
        found[nesting.index] = given
    elif isinstance(nesting, PackedSequence):
        _fill(nesting.data, given.data, found)
    elif isinstance(nesting, (list, tuple)):
        for entry, part in zip(nesting, given, strict=True):
            _fill(entry, part, found)
    elif isinstance(nesting, Mapping):
        for key, entry in nesting.items():
            _fill(entry, given[key], found)
