"""A list of modules for an author's own loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from mytorch.core import Module
from mytorch.nn.container._sequence import ModuleSequence, require_module


class ModuleList(ModuleSequence):
    """Hold modules so that they are found, trained and saved. It has no forward: its owner calls the children.

    Raises:    ArgumentError if a child is not a Module

    Example:
        >>> layers = ModuleList([Linear(2, 3), ReLU()])
        >>> layers.append(Linear(3, 1))
        >>> len(layers)
        3
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self.layers = [require_module(self, child) for child in modules or ()]

    def arguments(self) -> dict[str, Any]:
        return {"modules": list(self.layers)}

    def _of(self, layers: list[Module]) -> Self:
        return type(self)(layers)
