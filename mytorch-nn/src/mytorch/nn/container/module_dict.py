"""Modules by name for an author's own choice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from mytorch.core import ArgumentError, Module
from mytorch.nn.container._sequence import require_module
from mytorch.plugins import shown


class ModuleDict(Module, MutableMapping[str, Module]):
    """Hold modules by name so that they are found, trained and saved. It has no forward: its owner calls them.

    Raises:    ArgumentError if a child is not a Module, or a name is empty or has a dot (which separates names
               in a state dict)
    Source:    torch.nn.ModuleDict, whose behaviour it follows

    Example:
        >>> ModuleDict({"wide": Linear(2, 9), "narrow": Linear(2, 3)})["narrow"]
        Linear(in_features=2, out_features=3)
    """

    # A mapping would compare by content, and then have no hash.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        self.entries: dict[str, Module] = {}
        self.update(modules or {})

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return iter(self.entries.items())

    def arguments(self) -> dict[str, Any]:
        return {"modules": dict(self.entries)}

    def extra_repr(self) -> str:
        return ""  # the children are shown anyway

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __getitem__(self, key: str) -> Module:
        return self.entries[key]

    def __setitem__(self, key: str, child: Module) -> None:
        if not isinstance(key, str) or not key or "." in key:
            raise ArgumentError(f"ModuleDict: name must be a string without dots and not empty, got {shown(key)}")
        self.entries[key] = require_module(self, child)

    def __delitem__(self, key: str) -> None:
        del self.entries[key]
