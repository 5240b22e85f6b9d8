"""What is settled when a step is compiled, so that a change of it is noticed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor

from mytorch.core import Module, Optimizer, Parameter
from mytorch.train.compiled.carry import Carry, find_slots, layout
from mytorch.train.equal import equal


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
    """Tells quickly that nothing of `settled` has changed since this was made, and no setting of the optimizer.

    All attributes of the modules are compared in one operation, and so are the optimizer's state and its settings. So
    a change may be seen where `settled` sees none, such as a new mask of the same shape, but not the other way round.

    carry: the tensors that a step changes, with the kinds that they must have.
    """

    def __init__(self, net: Module, loss: Module, optimizer: Optimizer, carry: Carry) -> None:
        self._modules = [module for part in (net, loss) for module in part.modules()]
        self._attributes = [_kept(vars(module)) for module in self._modules]
        self._optimizer, self._carry = optimizer, carry
        self._groups, self._state = _kept(optimizer.param_groups), _kept(optimizer.state)
        self._members = _kept(_members(optimizer))
        self._parameters = [held for _, held, entry in carry.slots if entry is None and isinstance(held, Parameter)]
        self._trainable = [parameter.trainable for parameter in self._parameters]

    def unchanged(self) -> bool:
        """Whether everything is as it was, apart from the optimizer's settings."""
        return (
            [parameter.trainable for parameter in self._parameters] == self._trainable
            and _members(self._optimizer) == self._members
            and equal([vars(module) for module in self._modules], self._attributes)
            and equal(self._optimizer.state, self._state)
            and self._carry.tensors() is not None
        )

    def same_settings(self) -> bool:
        """Whether every setting of the optimizer is as it was, or is a tensor that is the same."""
        return equal(self._optimizer.param_groups, self._groups)


def _members(optimizer: Optimizer) -> list[list[Parameter]]:
    return [group["params"] for group in optimizer.param_groups]


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
