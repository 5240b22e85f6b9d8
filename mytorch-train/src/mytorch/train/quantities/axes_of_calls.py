"""The axes of samples, remembered between calls that have nothing else in common."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from types import BuiltinFunctionType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor

from mytorch.core import Buffer, Module, Parameter
from mytorch.train.equal import equal, is_plain, kept
from mytorch.train.quantities.axes import Axes, require_samples
from mytorch.train.quantities.holders import Holders
from mytorch.train.quantities.structure import leaves, mapped

_KNOWN: WeakKeyDictionary[Module, _Known] = WeakKeyDictionary()

HELD = (Module, Parameter, Buffer, torch.Generator)
"""What an attribute may hold that is looked at itself, or that has no part in where samples lie."""
FIXED = (type, FunctionType, BuiltinFunctionType, Tensor, torch.dtype, torch.device, torch.Size)
"""What is compared as such."""


def axes_of(net: Module, loss: Module, inputs: Any, targets: Any) -> Axes:
    """As `Axes`, which are found once for as long as net, loss and the kind of batch stay as they are.

    What holds an attribute of which this cannot be told, such as an object of a class of its own, is tried each time.
    """
    holders = Holders(net)
    require_samples(holders, net, loss, inputs, targets)
    modules, of_loss = [module for _, module in holders.modules], list(loss.modules())
    batch = mapped(_kind, [inputs, targets])
    trained = [bool(own) for own in holders.own.values()]
    known = _KNOWN.get(net)
    if known is None or not known.is_still(modules, of_loss, batch, trained):
        axes = Axes(net, loss, inputs, targets, holders)
        if axes.certain and all(map(_can_be_told, [*modules, *of_loss])) and all(map(_is_told, leaves(batch))):
            _KNOWN[net] = _Known(axes, modules, of_loss, batch, trained)
        return axes
    return known.axes_with(holders)


class _Known:
    """The axes of a net, and what it and the loss were, which are not kept alive by it."""

    def __init__(
        self, axes: Axes, modules: list[Module], of_loss: list[Module], batch: Any, trained: list[bool]
    ) -> None:
        self._axes = copy(axes)
        del self._axes.holders
        self._modules, self._refs = [_Seen(module) for module in modules], [ref(module) for module in modules]
        self._of_loss = [_Seen(module) for module in of_loss]
        self._batch, self._trained = batch, trained

    def axes_with(self, holders: Holders) -> Axes:
        """The axes, as if they had been found now."""
        axes = copy(self._axes)
        axes.holders, axes.told = holders, set()
        return axes

    def is_still(self, modules: list[Module], of_loss: list[Module], batch: Any, trained: list[bool]) -> bool:
        """Whether everything is as it was, but for the values of tensors; the loss may be another one of its kind."""
        return (
            [known() for known in self._refs] == modules
            and self._trained == trained
            and len(self._of_loss) == len(of_loss)
            and all(map(_Seen.is_like, self._modules, modules))
            and all(map(_Seen.is_like, self._of_loss, of_loss))
            and equal(self._batch, batch)
        )


class _Seen:
    """What a module was, with its mode and its settings."""

    def __init__(self, module: Module) -> None:
        self._type, self._training = type(module), module.training
        self._names, self._settings = list(vars(module)), _settings(module)

    def is_like(self, module: Module) -> bool:
        return (
            type(module) is self._type
            and module.training == self._training
            and list(vars(module)) == self._names
            and equal(_settings(module), self._settings)
        )


def _settings(module: Module) -> dict[str, Any]:
    """The attributes that decide what a module does, as they are now; a function or tensor by a reference to it."""
    return {name: _told(value) for name, value in _own(module)}


def _own(module: Module) -> Iterator[tuple[str, Any]]:
    """Attributes that are neither tensors, modules nor how the module was built."""
    named = vars(module).items()
    return ((name, value) for name, value in named if not (name.startswith("_module_") or _is_of_the_tree(value)))


def _told(value: Any) -> Any:
    """What an attribute is compared by; the same reference is given each time, as long as what it refers to lives."""
    return ref(value) if isinstance(value, (FunctionType, Tensor)) else kept(value)


def _can_be_told(module: Module) -> bool:
    return all(_is_told(value) for _, value in _own(module))


def _is_of_the_tree(value: Any) -> bool:
    """Whether an attribute holds tensors, or modules, which are looked at themselves."""
    if isinstance(value, (list, dict)) and value:
        return all(isinstance(entry, Module) for entry in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, HELD)


def _is_told(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_told, value)) and all(map(_is_told, value.values()))
    return is_plain(value) or isinstance(value, FIXED)


def _kind(leaf: Any) -> Any:
    """What batches of one kind have in common: of tensors axes and dtype, and all of what else is passed."""
    return f"{leaf.dim()} axes of {leaf.dtype}" if isinstance(leaf, Tensor) else leaf
