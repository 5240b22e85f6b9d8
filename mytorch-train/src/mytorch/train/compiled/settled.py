"""What is settled when a step is compiled, so that a change of it is noticed."""

from __future__ import annotations

from collections.abc import Collection
from operator import is_
from typing import Any

from torch import Tensor

from mytorch.core import Module, Optimizer
from mytorch.train.compiled.carry import find_slots, layout


def settled(net: Module, loss: Module, optimizer: Optimizer) -> tuple[Any, ...]:
    """Everything that decides what a step computes, beside the values of tensors: equal as long as it stays."""
    modules = tuple(_of_module(module) for part in (net, loss) for module in part.modules())
    tensors = tuple(
        (slot.name, id(slot.held), slot.entry, getattr(slot.held, "trainable", None), *_looks(tensor))
        for slot in find_slots(net, loss, optimizer)
        for tensor in (slot.tensor(optimizer),)
    )
    members = tuple(tuple(map(id, group["params"])) for group in optimizer.param_groups)
    return modules, tensors, members


class Glance:
    """Tells quickly that nothing of `settled` has changed since this was made.

    All attributes of the modules are compared, in one operation, and the tensors by what they are. So a change may be
    seen where `settled` sees none, such as a new tensor of the same shape, but not the other way round.
    """

    def __init__(self, net: Module, loss: Module, optimizer: Optimizer) -> None:
        self._modules = [module for part in (net, loss) for module in part.modules()]
        self._attributes = [_kept(vars(module)) for module in self._modules]
        self._slots, self._optimizer = find_slots(net, loss, optimizer), optimizer
        self._objects, self._kinds = self._look()

    def unchanged(self) -> bool:
        """Whether everything is as it was."""
        try:
            if [vars(module) for module in self._modules] != self._attributes:
                return False
        except Exception:  # a tensor or array that was replaced does not compare as one
            return False
        objects, kinds = self._look()
        same = len(objects) == len(self._objects) and all(map(is_, objects, self._objects))
        return same and kinds == self._kinds

    def _look(self) -> tuple[list[Any], list[Any]]:
        """Every tensor and what belongs to which, to be compared as objects, and what can change in each."""
        optimizer = self._optimizer
        held = [slot.held for slot in self._slots if slot.entry is None]
        state = [value for entries in optimizer.state.values() for value in entries.values()]
        tensors = [one.value for one in held] + [value for value in state if isinstance(value, Tensor)]
        members = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        kinds = [getattr(one, "trainable", None) for one in held] + [_looks(one) for one in tensors]
        kinds.append([len(group["params"]) for group in optimizer.param_groups])
        return [*tensors, *state, *optimizer.state, *members], kinds


def _looks(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.dtype, layout(tensor)


def _kept(value: Any) -> Any:
    """An attribute, with lists and dicts as they are now."""
    if isinstance(value, dict):
        return {name: _kept(entry) for name, entry in value.items()}
    return type(value)(map(_kept, value)) if type(value) in (tuple, list) else value


def settled_settings(optimizer: Optimizer, changing: Collection[tuple[int, str]]) -> tuple[Any, ...]:
    """The optimizer's settings that are not handed to each step."""
    return tuple(
        (name, _copied(value))
        for number, group in enumerate(optimizer.param_groups)
        for name, value in group.items()
        if name != "params" and (number, name) not in changing and _is_plain(value)
    )


def _of_module(module: Module) -> tuple[Any, ...]:
    plain = tuple((name, _copied(value)) for name, value in vars(module).items() if _is_plain(value))
    return id(module), module.training, module.input_grad, plain


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return isinstance(value, (bool, int, float, str, type(None)))


def _copied(value: Any) -> Any:
    """A plain value that stays as it is when somebody changes a list."""
    return tuple(map(_copied, value)) if isinstance(value, (tuple, list)) else value
