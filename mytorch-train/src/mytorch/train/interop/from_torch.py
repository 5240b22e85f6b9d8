"""A module of PyTorch as one of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.loss import _Loss

from mytorch.core import Buffer, Module, MytorchError, Parameter, call_with, random_state, tree
from mytorch.plugins import OWN, UnknownNameError, catalogue
from mytorch.train.interop.torch_arguments import NotReadError, arguments_of
from mytorch.train.interop.torch_layer import FromTorch, FromTorchLoss, require_torch_module
from mytorch.train.interop.torch_module import ToTorch
from mytorch.train.interop.twin_layers import TWIN_LAYERS

HARMLESS = frozenset(
    {"__init__", "__module__", "__qualname__", "__doc__", "__annotations__", "__dict__", "__weakref__", "__repr__"}
    | {"__constants__", "__parameters__", "__orig_bases__", "__firstlineno__", "__static_attributes__", "extra_repr"}
)
"""What a subclass may define anew without computing anything else than the class that it derives from."""

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def from_torch(module: nn.Module) -> Module:
    """A torch.nn.Module as a module of mytorch, with its weights in the same memory.

    What has a twin becomes it: each layer and loss of torch.nn is the class of that name in mytorch-nn, with the same
    settings, mode, parameters that are trained and ties. Anything else, such as a class with a forward of its own, or
    a layer with hooks or parametrizations, becomes a `FromTorch`, whose gradients are those of autograd. A loss that
    derives from those of torch.nn becomes a `FromTorchLoss`; make one yourself of a loss that is any other module.
    What `to_torch` made is the module that it was made of. Layers of a torch.nn.Sequential with names are numbered.
    Raises ArgumentError for what is no torch.nn.Module, or has lazy parameters without a value.

    Example:
        >>> import torch
        >>> from mytorch.train.interop import from_torch
        >>> theirs = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.ReLU())
        >>> net = from_torch(theirs)
        >>> net
        Sequential(
          (0): Linear(in_features=2, out_features=3)
          (1): BatchNorm1d(num_features=3)
          (2): ReLU()
        )
        >>> net[0].weight.value.data_ptr() == theirs[0].weight.data_ptr()
        True
    """
    require_torch_module("from_torch", module)
    return _Converter().module(module)


class _NoTwinError(Exception):
    """A module of PyTorch that no layer of ours computes."""


class _Converter:
    """What has been made so far: a module that is used twice, or a tied parameter, is one in both."""

    def __init__(self) -> None:
        self.made: dict[int, Module] = {}
        self.held: dict[int, Parameter] = {}

    def module(self, module: nn.Module) -> Module:
        """What a module becomes."""
        if id(module) not in self.made:
            try:
                self.made[id(module)] = self._twin(module)
            except _NoTwinError:
                self.made[id(module)] = self._layer(module)
        return self.made[id(module)]

    def _twin(self, module: nn.Module) -> Module:
        if isinstance(module, ToTorch) and not _is_changed(module):
            return module.ours
        found = _classes(module)
        if found is None or _is_changed(module):
            raise _NoTwinError
        try:
            given = arguments_of(*found, module)
            converted = {name: self._value(value) for name, value in given.items()}
            with random_state():
                ours: Module = call_with(found[0], converted)
        except (NotReadError, MytorchError, TypeError, ValueError) as error:
            raise _NoTwinError from error
        for each in ours.modules():
            if each not in self.made.values():
                each.training = module.training
        passed = {id(each) for each in _modules_in(list(given.values()))}
        if not all(id(child) in passed for child in module._modules.values()):
            self._put_children(ours, module)
        self._put_tensors(ours, module)
        return ours

    def _value(self, value: Any) -> Any:
        if isinstance(value, nn.Module):
            return self.module(value)
        if isinstance(value, (list, tuple)) and any(_modules_in(list(value))):
            return [self._value(entry) for entry in value]
        if isinstance(value, dict):
            return {name: self._value(entry) for name, entry in value.items()}
        return value

    def _put_children(self, ours: Module, module: nn.Module) -> None:
        """Give a module of ours what the children of its twin become."""
        for name, child in module._modules.items():
            if child is None:
                continue
            converted, own = self.module(child), getattr(ours, name, None)
            if not isinstance(own, Module) or not _alike(converted, own):
                raise _NoTwinError
            setattr(ours, name, converted)

    def _put_tensors(self, ours: Module, module: nn.Module) -> None:
        """Give a module of ours the memory of its twin's own parameters and buffers."""
        own = {name: held for kind in (Parameter, Buffer) for name, held in tree.own(ours, kind)}
        theirs = dict(_own_tensors(module))
        if own.keys() != theirs.keys() or any(own[name].value.shape != theirs[name].shape for name in own):
            raise _NoTwinError
        for name, tensor in theirs.items():
            if isinstance(own[name], Buffer):
                own[name].value = tensor
            elif id(tensor) in self.held:
                setattr(ours, name, self.held[id(tensor)])
            else:
                self.held[id(tensor)] = own[name]
                own[name].value, own[name].trainable = tensor, tensor.requires_grad

    def _layer(self, module: nn.Module) -> FromTorch:
        layer = FromTorchLoss(module) if isinstance(module, _Loss) else FromTorch(module)
        for name, tensor in module.named_parameters(remove_duplicate=False):
            vars(layer)[name] = self.held.setdefault(id(tensor), vars(layer)[name])
        return layer


def _classes(module: nn.Module) -> tuple[type[Module], type[nn.Module]] | None:
    """The class of ours that computes what a module does, and the module's class or the one that it derives from."""
    kinds = type(module).__mro__
    for place, base in enumerate(kinds):
        name = base.__name__
        if TWIN_LAYERS.get(name) is not base and getattr(nn, name, None) is not base:
            continue
        anew = {name for cls in kinds[:place] for name in vars(cls)} | vars(module).keys() & {"forward"}
        if any(hasattr(base, name) for name in anew - HARMLESS):
            return None
        ours = _of_this_project(name)
        return None if ours is None else (ours, base)
    return None


def _of_this_project(name: str) -> type[Module] | None:
    for kind in ("layer", "loss"):
        try:
            part = catalogue().find(kind, name)
        except UnknownNameError:
            continue
        if part.distribution in OWN:
            cls: type[Module] = catalogue().load(kind, part.reference)
            return cls
    return None


def _is_changed(module: nn.Module) -> bool:
    """Whether somebody changed what this very module computes."""
    held = (getattr(each, "_backward_hooks", None) for each in module.parameters(recurse=False))
    return hasattr(module, "parametrizations") or any(getattr(module, name, None) for name in HOOKS) or any(held)


def _modules_in(value: Any) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _modules_in(entry)


def _alike(one: Module, other: Module) -> bool:
    """Whether what a child became is what its parent's arguments describe, and not what somebody put in its place."""
    if type(one) is not type(other) or any(isinstance(each, FromTorch) for each in one.modules()):
        return False
    theirs = other.arguments()
    return all(
        value == theirs[name] or value == (theirs[name],)
        for name, value in one.arguments().items()
        if isinstance(value, (int, float, str, tuple))
    )


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield name, parameter
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent_buffers_set:
            yield name, buffer
