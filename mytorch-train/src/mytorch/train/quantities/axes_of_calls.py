"""The axes of samples, remembered between calls that have nothing else in common."""

from __future__ import annotations

from copy import copy
from types import BuiltinFunctionType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor

from mytorch.core import Buffer, Module, Parameter
from mytorch.train.equal import equal
from mytorch.train.quantities.axes import Axes, require_samples
from mytorch.train.quantities.holders import Holders
from mytorch.train.quantities.structure import mapped

_KNOWN: WeakKeyDictionary[Module, _Known] = WeakKeyDictionary()

REFERRED = (Module, Tensor, FunctionType, BuiltinFunctionType, type)
"""What an attribute may hold that is compared by a reference, which keeps nothing alive."""
PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device, torch.Size)
"""What never changes."""


def axes_of(net: Module, loss: Module, inputs: Any, targets: Any) -> Axes:
    """As `Axes`, which are found once for as long as net, loss and the kind of batch stay as they are.

    The net is tried each time if it holds an attribute of which this cannot be told, such as an object of a class of
    its own, or if an output was the same for another sample, as behind weights of zero, which shows nothing.
    """
    holders = Holders(net)
    require_samples(holders, net, loss, inputs, targets)
    modules, of_loss = [module for _, module in holders.modules], list(loss.modules())
    batch = mapped(_kind, [inputs, targets])
    trained = [bool(own) for own in holders.own.values()]
    known = _KNOWN.get(net)
    if known is None or not known.is_still(modules, of_loss, batch, trained):
        axes = Axes(net, loss, inputs, targets, holders)
        if axes.certain and axes.seen:
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
    """The attributes that decide what a module does, as they are now; not its tensors, nor how it was built."""
    return {name: _told(value) for name, value in vars(module).items() if not name.startswith("_module_")}


def _told(value: Any) -> Any:
    """What an attribute is compared by: equal as long as it is as it was, which is never so where nobody can tell."""
    if isinstance(value, (Parameter, Buffer, torch.Generator)):
        return None
    if isinstance(value, REFERRED):
        return ref(value)  # the same reference each time, as long as what it refers to lives
    if type(value) in (list, tuple):
        return [type(value), *map(_told, value)]
    if type(value) is dict:
        return {name: _told(entry) for name, entry in value.items()}
    return value if type(value) in PLAIN else object()


def _kind(leaf: Any) -> Any:
    """What batches of one kind have in common: of tensors all sizes but the samples', and what else is passed."""
    return [leaf.shape[1:], leaf.dtype] if isinstance(leaf, Tensor) else _told(leaf)
