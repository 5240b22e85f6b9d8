"""What the containers have in common that are lists of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSequence
from typing import Any, Self, overload

from mytorch.core import ArgumentError, Module

LISTED = {
    "Sequential": "layers",
    "Padded": "layers",
    "Add": "branches",
    "Concatenate": "branches",
    "Parallel": "branches",
    "ReversibleSequence": "blocks",
}
"""The containers that take their children one by one, and what these are called."""


def require_module(owner: object, child: object) -> Module:
    """Raise ArgumentError unless a container's child is a module."""
    if isinstance(child, Module):
        return child
    kind = f"the class {child.__name__}" if isinstance(child, type) else _full_name(type(child))
    name = type(owner).__name__
    hint = ""
    if isinstance(child, type) and issubclass(child, Module):
        hint = f"; write {child.__name__}(...)"
    elif isinstance(child, list | tuple) and name in LISTED:
        hint = f"; write {name}(*{LISTED[name]})"
    raise ArgumentError(f"{name}: child must be a Module, got {kind}{hint}")


def _full_name(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


class ModuleSequence(Module, MutableSequence[Module]):
    """A list of modules named "0", "1", ... with every operation of a list; a slice of it is of its own kind."""

    layers: list[Module]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return ((str(index), layer) for index, layer in enumerate(self.layers))

    def extra_repr(self) -> str:
        return ""  # the children are shown anyway

    def _change(self, key: int | slice, new: list[Module]) -> None:
        """Replace children. All below give the gradient of their input again, until `input_grad` is set anew.

        A container cannot see whether its first child is used outside it too: a gradient too many does no harm,
        one too few does.
        """
        wanted = self.input_grad
        for module in (self, *new):
            module.input_grad = True
        self.layers[key if isinstance(key, slice) else slice(key, key + 1)] = new
        vars(self)["input_grad"] = wanted

    def _index(self, index: int) -> int:
        if not -len(self.layers) <= index < len(self.layers):
            raise IndexError(f"{type(self).__name__}: index must fit {len(self.layers)} children, got {index}")
        return index % len(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)

    @overload
    def __getitem__(self, key: int) -> Module: ...
    @overload
    def __getitem__(self, key: slice) -> Self: ...
    def __getitem__(self, key: int | slice) -> Module | Self:
        if isinstance(key, slice):
            return self._of(self.layers[key])
        return self.layers[self._index(key)]

    def _of(self, layers: list[Module]) -> Self:
        raise NotImplementedError

    def __setitem__(self, key: int | slice, new: Any) -> None:
        if isinstance(key, slice):
            self._change(key, [require_module(self, child) for child in new])
        else:
            self._change(self._index(key), [require_module(self, new)])

    def __delitem__(self, key: int | slice) -> None:
        if isinstance(key, slice):
            kept = [layer for index, layer in enumerate(self.layers) if index not in range(*key.indices(len(self)))]
            self._change(slice(None), kept)
        else:
            self._change(self._index(key), [])

    def insert(self, index: int, value: Module) -> None:
        self._change(slice(index, index), [require_module(self, value)])

    def extend(self, values: Iterable[Module]) -> None:
        self[len(self) :] = values
