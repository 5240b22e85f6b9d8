"""Values nested in tuples, lists and dicts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
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


def floating(value: Any, path: str) -> dict[str, Tensor]:
    """The floating-point tensors inside by their paths."""
    return {name: leaf for name, leaf in tensors(value, path).items() if leaf.is_floating_point()}


def mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """The same nesting of tuples, lists, dicts and dataclasses with each leaf replaced."""
    if isinstance(value, list):
        return [mapped(entry, function) for entry in value]
    if isinstance(value, tuple):
        entries = [mapped(entry, function) for entry in value]
        return type(value)(*entries) if hasattr(value, "_fields") else tuple(entries)
    if isinstance(value, Mapping):
        return {key: mapped(entry, function) for key, entry in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: mapped(getattr(value, field.name), function) for field in fields(value)})
    return function(value)


def changed(value: Any, place: str, instead: Any, path: str = "") -> Any:
    """The same nesting of containers with what stands at a path, such as "[1][0]", replaced."""
    if path == place:
        return instead
    if isinstance(value, list):
        return [changed(entry, place, instead, f"{path}[{index}]") for index, entry in enumerate(value)]
    if isinstance(value, tuple):
        entries = [changed(entry, place, instead, f"{path}[{index}]") for index, entry in enumerate(value)]
        return type(value)(*entries) if hasattr(value, "_fields") else tuple(entries)
    if isinstance(value, Mapping):
        return {key: changed(entry, place, instead, f"{path}[{key!r}]") for key, entry in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        held = {field.name: getattr(value, field.name) for field in fields(value)}
        return replace(value, **{key: changed(held[key], place, instead, f"{path}.{key}") for key in held})
    return value


def places(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Everything inside a tuple, list or dict with its path, containers among it before what they hold."""
    entries: Iterator[tuple[Any, Any]] | Any = ()
    if isinstance(value, tuple | list):
        entries = enumerate(value)
    elif isinstance(value, Mapping):
        entries = value.items()
    for key, entry in entries:
        yield f"{path}[{key!r}]", entry
        yield from places(entry, f"{path}[{key!r}]")


def is_floating(leaf: Any) -> bool:
    """Whether a leaf is a tensor with a derivative."""
    return isinstance(leaf, Tensor) and leaf.is_floating_point()
