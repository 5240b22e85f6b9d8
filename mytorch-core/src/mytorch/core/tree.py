"""Finding the modules, parameters and buffers that a module holds.

Searched are attributes and flat lists or dicts of modules. Anything else that holds a Module, Parameter or Buffer
raises, since what is not found is neither trained nor saved; so does a module or parameter of PyTorch.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from mytorch.core.errors import ModuleTreeError
from mytorch.core.parameter import Buffer, Parameter

PLAIN = frozenset({bool, int, float, str, type(None)})
NOTHING_BELOW = PLAIN | {Parameter, Buffer}
"""Types of most attributes, passed by at a glance, as are tuples of plain ones: a tree is walked often, for each
prediction of one row too."""

_TORCH_PARTS = frozenset(
    {
        ("torch.nn.modules.module", "Module"),
        ("torch.nn.parameter", "Parameter"),
        ("torch.nn.parameter", "UninitializedTensorMixin"),
    }
)


class Node:
    """What stands in a tree: a Module, which is the only class that derives from it."""

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """The direct children with their names."""
        return children_in_attributes(self)


def own(module: Node, kind: type[Any]) -> Iterator[tuple[str, Any]]:
    """The parameters or buffers that are attributes of this very module."""
    return ((name, value) for name, value in vars(module).items() if isinstance(value, kind))


def children_in_attributes(module: Node) -> Iterator[tuple[str, Any]]:
    """The modules in attributes, lists and dicts: "name", "name.0" or "name.key"."""
    for name, value in vars(module).items():
        if type(value) in NOTHING_BELOW or (type(value) is tuple and PLAIN.issuperset(map(type, value))):
            continue
        if isinstance(value, Node):
            yield name, value
        elif name.startswith("_module_") or isinstance(value, (Parameter, Buffer)):
            continue
        elif isinstance(value, (list, dict)) and _holds_only_modules(value):
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            yield from ((f"{name}.{key}", child) for key, child in entries)
        else:
            _require_nothing_hidden(module, name, value)


def _require_nothing_hidden(module: Node, name: str, value: object) -> None:
    """Raise ModuleTreeError if an attribute holds what is neither trained nor saved there."""
    hidden = _hidden_in(value)
    if hidden is None:
        return
    owner = type(module).__name__
    if isinstance(hidden, (Node, Parameter, Buffer)):
        raise ModuleTreeError(
            f"{owner}: attribute {name!r} must be a Module, Parameter, Buffer, or a flat list or "
            f"dict of modules, got a {type(value).__name__} that holds one deeper inside, where it would be "
            "neither trained nor saved; assign it to an attribute of its own or use ModuleList"
        )
    if isinstance(hidden, Tensor):
        if _is_torch_buffer(hidden):
            kind = "torch.nn.Buffer"
        else:
            kind = f"torch.nn.{type(hidden).__name__}" if _is_torch_part(type(hidden)) else "tensor that requires grad"
        raise ModuleTreeError(
            f"{owner}: attribute {name!r} must be a mytorch.core.Parameter or Buffer, got a {kind}, which would be "
            "neither trained nor saved; write Parameter(value) or Buffer(value)"
        )
    raise ModuleTreeError(
        f"{owner}: attribute {name!r} must be a module of mytorch, got {type(hidden).__module__}."
        f"{type(hidden).__qualname__}, which has no backward of its own; use the layer of the same name in mytorch.nn "
        "and pass it the weights with load_state_dict"
    )


def _holds_only_modules(value: list[Any] | dict[Any, Any]) -> bool:
    entries = value.values() if isinstance(value, dict) else value
    return len(value) > 0 and all(isinstance(entry, Node) for entry in entries)


def _hidden_in(value: object) -> object | None:
    """The first part of ours or of PyTorch's that a value is or holds."""
    if isinstance(value, (Node, Parameter, Buffer)) or _is_torch_part(type(value)):  # type: ignore[arg-type]  # classes have a hash
        return value
    if isinstance(value, Tensor):
        return value if value.requires_grad or _is_torch_buffer(value) else None
    inside: Iterable[object] = ()
    if isinstance(value, Mapping):
        inside = (entry for pair in value.items() for entry in pair)
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        inside = value
    elif isinstance(value, functools.partial):
        inside = (value.func, *value.args, *value.keywords.values())
    elif is_dataclass(value) and not isinstance(value, type):
        inside = (getattr(value, field.name, None) for field in fields(value))
    return next((found for entry in inside if (found := _hidden_in(entry)) is not None), None)


def _is_torch_buffer(value: Tensor) -> bool:
    return getattr(value, "_is_buffer", False)  # the mark by which isinstance knows a torch.nn.Buffer


@functools.cache
def _is_torch_part(cls: type) -> bool:
    """Whether a class is PyTorch's Module or Parameter, told by name: this package imports none of them."""
    return any((base.__module__, base.__qualname__) in _TORCH_PARTS for base in cls.__mro__)


def walk(module: Any, prefix: str = "", above: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every use of every module with its path, the module itself first as "". A cycle ends where it closes.

    above: the id of each module on the way down.
    """
    if id(module) in above:
        return
    yield prefix, module
    above = (*above, id(module))
    for name, child in module.named_children():
        yield from walk(child, f"{prefix}.{name}" if prefix else name, above)


def walk_once(module: Any, prefix: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Every module once, under the first of its paths; a shared one is not walked through again."""
    seen = set() if seen is None else seen
    if id(module) in seen:
        return
    seen.add(id(module))
    yield prefix, module
    for name, child in module.named_children():
        yield from walk_once(child, f"{prefix}.{name}" if prefix else name, seen)


def count_uses(module: Any, counted: dict[int, int] | None = None) -> int:
    """How many steps `walk` takes: the uses of every module, without taking them. A cycle counts where it closes."""
    counted = {} if counted is None else counted
    if id(module) not in counted:
        counted[id(module)] = 0  # while its children are counted
        counted[id(module)] = 1 + sum(count_uses(child, counted) for _, child in module.named_children())
    return counted[id(module)]


def named_uses(module: Node, *kinds: type[Any]) -> Iterator[tuple[str, Any]]:
    """Every parameter or buffer under every one of its names, kind by kind in each module."""
    return _held_by(walk(module), kinds)


def named_once(module: Node, *kinds: type[Any]) -> Iterator[tuple[str, Any]]:
    """Every parameter or buffer under the first of its names, kind by kind in each module."""
    return once(_held_by(walk_once(module), kinds))


def _held_by(owners: Iterable[tuple[str, Any]], kinds: Iterable[type[Any]]) -> Iterator[tuple[str, Any]]:
    for path, owner in owners:
        for kind in kinds:
            yield from ((f"{path}.{name}" if path else name, tensor) for name, tensor in own(owner, kind))


def once(named: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Each object under its first name only."""
    seen: set[int] = set()
    for name, value in named:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value
