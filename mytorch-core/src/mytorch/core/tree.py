"""Finding the modules, parameters and buffers that a module holds.

Searched are attributes and flat lists or dicts of modules. Anything else that holds a Module, Parameter or Buffer
raises, since what is not found is neither trained nor saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from mytorch.core.errors import ModuleTreeError
from mytorch.core.parameter import Buffer, Parameter

if TYPE_CHECKING:
    from mytorch.core.module import Module


NOTHING_BELOW = frozenset({bool, int, float, str, type(None), Parameter, Buffer})
"""Types of most attributes, passed by at a glance: a tree is walked often, for each prediction of one row too."""


def own(module: Module, kind: type[Any]) -> Iterator[tuple[str, Any]]:
    """The parameters or buffers that are attributes of this very module."""
    return ((name, value) for name, value in vars(module).items() if isinstance(value, kind))


def children_in_attributes(module: Module) -> Iterator[tuple[str, Module]]:
    """The modules in attributes, lists and dicts: "name", "name.0" or "name.key"."""
    from mytorch.core.module import Module

    for name, value in vars(module).items():
        if type(value) in NOTHING_BELOW:
            continue
        if isinstance(value, Module):
            yield name, value
        elif name.startswith("_module_") or isinstance(value, (Parameter, Buffer)):
            continue
        elif isinstance(value, (list, dict)) and _holds_only(value, Module):
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            yield from ((f"{name}.{key}", child) for key, child in entries)
        elif _holds_any(value, (Module, Parameter, Buffer)):
            raise ModuleTreeError(
                f"{type(module).__name__}: attribute {name!r} must be a Module, Parameter, Buffer, or a flat list or "
                f"dict of modules, got a {type(value).__name__} that holds one deeper inside, where it would be "
                "neither trained nor saved; assign it to an attribute of its own or use ModuleList"
            )


def _holds_only(value: list[Any] | dict[Any, Any], kind: type[Any]) -> bool:
    entries = value.values() if isinstance(value, dict) else value
    return len(value) > 0 and all(isinstance(entry, kind) for entry in entries)


def _holds_any(value: object, kinds: tuple[type[Any], ...]) -> bool:
    if isinstance(value, kinds):
        return True
    if isinstance(value, Mapping):
        return any(_holds_any(entry, kinds) for pair in value.items() for entry in pair)
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(_holds_any(entry, kinds) for entry in value)
    if is_dataclass(value) and not isinstance(value, type):
        return any(_holds_any(getattr(value, field.name, None), kinds) for field in fields(value))
    return False


def walk(module: Module, prefix: str = "", above: tuple[int, ...] = ()) -> Iterator[tuple[str, Module]]:
    """Every use of every module with its path, the module itself first as "". A cycle ends where it closes.

    above: the id of each module on the way down.
    """
    if id(module) in above:
        return
    yield prefix, module
    above = (*above, id(module))
    for name, child in module.named_children():
        yield from walk(child, f"{prefix}.{name}" if prefix else name, above)


def named_uses(module: Module, kind: type[Any]) -> Iterator[tuple[str, Any]]:
    """Every parameter or buffer under every one of its names: a shared one comes several times."""
    for path, owner in walk(module):
        yield from ((f"{path}.{name}" if path else name, tensor) for name, tensor in own(owner, kind))


def once(named: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Each object under its first name only."""
    seen: set[int] = set()
    for name, value in named:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value
