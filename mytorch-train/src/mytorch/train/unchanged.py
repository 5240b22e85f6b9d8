"""Trying a training step on a model that must not notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Module, Optimizer, Parameter, random_state


@contextmanager
def unchanged(net: Module, loss: Module, optimizer: Optimizer | None = None) -> Iterator[None]:
    """Within this context, inference mode is on, gradients are None at first, and everything may change; after it,
    all is as it was.

    Put back are values, gradients, buffers, attributes such as the mode, the optimizer's settings and state, and the
    random state with that of generators that layers hold.
    """
    modules = list(dict.fromkeys([*net.modules(), *loss.modules()]))
    groups = [] if optimizer is None else optimizer.param_groups
    held = [value for module in (net, loss) for _, value in module.named_state()]
    held = list(dict.fromkeys([*held, *(parameter for group in groups for parameter in group["params"])]))
    with torch.inference_mode(), ExitStack() as put_back:
        put_back.enter_context(random_state(net, loss))
        for module in modules:
            put_back.callback(_refill, vars(module), dict(vars(module)))
        if optimizer is not None:
            _keep_optimizer(optimizer, put_back)
        for one in held:
            _keep_tensor(one.value, put_back)
            put_back.callback(setattr, one, "value", one.value)
            if isinstance(one, Parameter):
                put_back.callback(setattr, one, "grad", one.grad)
                one.grad = None
        yield


def _keep_optimizer(optimizer: Optimizer, put_back: ExitStack) -> None:
    settings = [entry for group in optimizer.param_groups for entry in group.values()]
    states = [entry for state in optimizer.state.values() for entry in state.values()]
    for entry in (*settings, *states):
        if isinstance(entry, Tensor):
            _keep_tensor(entry, put_back)
    tables: list[dict[Any, Any]] = [
        *optimizer.param_groups,
        *optimizer.state.values(),
        optimizer.state,
        vars(optimizer),
    ]
    for table in tables:
        put_back.callback(_refill, table, dict(table))


def _keep_tensor(value: Tensor, put_back: ExitStack) -> None:
    put_back.callback(_restore, value, value.clone())


def _restore(value: Tensor, before: Tensor) -> None:
    if not torch.equal(value, before):
        value.copy_(before)


def _refill(table: dict[Any, Any], before: dict[Any, Any]) -> None:
    table.clear()
    table.update(before)
