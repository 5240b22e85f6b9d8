"""Values nested in tuples, lists and dicts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Everything inside with its path, such as "input[0]"; containers are opened."""
    if isinstance(value, tuple | list):
        for index, entry in enumerate(value):
            yield from leaves(entry, f"{path}[{index}]")
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from leaves(entry, f"{path}[{key!r}]")
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from leaves(getattr(value, field.name), f"{path}.{field.name}")
    else:
        yield path, value


def tensors(value: Any, path: str) -> dict[str, Tensor]:
    """The tensors inside by their paths."""
    return {name: leaf for name, leaf in leaves(value, path) if isinstance(leaf, Tensor)}


def mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """The same nesting of tuples and lists with each leaf replaced."""
    if isinstance(value, list):
        return [mapped(entry, function) for entry in value]
    if isinstance(value, tuple):
        entries = [mapped(entry, function) for entry in value]
        return type(value)(*entries) if hasattr(value, "_fields") else tuple(entries)
    return function(value)


def is_floating(leaf: Any) -> bool:
    """Whether a leaf is a tensor with a derivative."""
    return isinstance(leaf, Tensor) and leaf.is_floating_point()
