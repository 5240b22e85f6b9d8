"""A list of modules for an author's own loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from mytorch.core import ArgumentError, Module, kind_of
from mytorch.nn.container._sequence import ModuleSequence, require_module


class ModuleList(ModuleSequence):
    """Hold modules so that they are found, trained and saved. It has no forward: its owner calls the children.

    Raises:    ArgumentError unless modules is a list of Modules
    Source:    torch.nn.ModuleList, whose behaviour it follows

    Example:
        >>> layers = ModuleList([Linear(2, 3), ReLU()])
        >>> layers.append(Linear(3, 1))
        >>> len(layers)
        3
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        if not isinstance(modules, Iterable | None):
            raise ArgumentError(f"ModuleList: modules must be a list of Modules, got {kind_of(modules)}")
        self.layers = [require_module(self, child) for child in modules or ()]

    def arguments(self) -> dict[str, Any]:
        return {"modules": list(self.layers)}

    def _of(self, layers: list[Module]) -> Self:
        return type(self)(layers)
