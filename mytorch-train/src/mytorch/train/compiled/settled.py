"""What is settled when a step is compiled, so that a change of it is noticed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mytorch.core import Module, Optimizer
from mytorch.train.compiled.carry import find_slots


def settled(net: Module, loss: Module, optimizer: Optimizer) -> tuple[Any, ...]:
    """Everything that decides what a step computes, beside the values of tensors: equal as long as it stays."""
    modules = tuple(_of_module(module) for part in (net, loss) for module in part.modules())
    tensors = tuple(
        (slot.name, id(slot.held), slot.entry, getattr(slot.held, "trainable", None), tensor.shape, tensor.dtype)
        for slot in find_slots(net, loss, optimizer)
        for tensor in (slot.tensor(optimizer),)
    )
    members = tuple(tuple(map(id, group["params"])) for group in optimizer.param_groups)
    return modules, tensors, members


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
