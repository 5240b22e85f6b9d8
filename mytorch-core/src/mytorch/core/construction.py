"""The arguments that a module was built with, kept without keeping alive the modules among them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from mytorch.core.tree import Node


class Remembered:
    """A module among the arguments: it is found again as long as somebody else holds it.

    A copied or unpickled module remembers the copies of its children.
    """

    __slots__ = ("reference",)

    def __init__(self, module: Node | None) -> None:
        self.reference: Callable[[], Node | None] = weakref.ref(module) if module is not None else _gone

    def __reduce__(self) -> tuple[type[Remembered], tuple[Node | None]]:
        return type(self), (self.reference(),)


def _gone() -> None:
    return None


def remember(value: Any) -> Any:
    """An argument as it is kept: what holds modules, with each of them remembered."""
    if isinstance(value, Node):
        return Remembered(value)
    if not holds_module(value):
        return value
    if isinstance(value, Mapping):
        return {key: remember(entry) for key, entry in value.items()}
    return [remember(entry) for entry in value]


def recall(value: Any) -> Any:
    """The argument again; None in the place of a module that is gone."""
    if isinstance(value, Remembered):
        return value.reference()
    if not holds_remembered(value):
        return value
    if isinstance(value, dict):
        return {key: recall(entry) for key, entry in value.items()}
    return [recall(entry) for entry in value]


def holds_module(value: object) -> bool:
    """Whether an argument is a module, or lists or dicts that hold one."""
    return _holds(value, Node)


def holds_remembered(value: object) -> bool:
    """Whether a kept argument stands for modules."""
    return _holds(value, Remembered)


def is_complete(value: object) -> bool:
    """Whether every module that a kept argument stands for is still there."""
    if isinstance(value, Remembered):
        return value.reference() is not None
    if isinstance(value, Mapping):
        return all(is_complete(entry) for entry in value.values())
    return not isinstance(value, list | tuple) or all(is_complete(entry) for entry in value)


def _holds(value: object, kind: type) -> bool:
    if isinstance(value, Mapping):
        return any(_holds(entry, kind) for entry in value.values())
    if isinstance(value, list | tuple):
        return any(_holds(entry, kind) for entry in value)
    return isinstance(value, kind)
