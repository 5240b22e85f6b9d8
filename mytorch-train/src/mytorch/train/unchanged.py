"""Trying a training step on a model that must not notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Buffer, Module, Optimizer, Parameter, random_state


@contextmanager
def unchanged(net: Module, loss: Module, optimizer: Optimizer | None = None) -> Iterator[None]:
    """Within this context, inference mode is on, gradients are None at first, and everything may change; after it,
    all is as it was.

    Put back are values, gradients, buffers, attributes such as the mode, the optimizer's settings and state, and the
    random state with that of generators that layers hold.
    """
    modules = list(dict.fromkeys([*net.modules(), *loss.modules()]))
    tables: list[dict[Any, Any]] = [vars(module) for module in modules]
    held = [value for table in tables for value in table.values() if isinstance(value, (Parameter, Buffer))]
    entries: list[Any] = []
    if optimizer is not None:
        groups, states = optimizer.param_groups, optimizer.state.values()
        held += [parameter for group in groups for parameter in group["params"]]
        entries = [entry for table in (*groups, *states) for entry in table.values()]
        tables += [*groups, *states, optimizer.state, vars(optimizer)]
    held = list(dict.fromkeys(held))
    values = [one.value for one in held]
    gradients = [(one, one.grad) for one in held if isinstance(one, Parameter)]
    tensors = [*values, *(entry for entry in entries if isinstance(entry, Tensor))]
    with torch.inference_mode(), ExitStack() as put_back:
        put_back.enter_context(random_state(net, loss))
        put_back.callback(_refill, [(table, dict(table)) for table in tables])
        put_back.callback(_restore, [(tensor, tensor.clone()) for tensor in tensors])
        put_back.callback(_replace, list(zip(held, values, strict=True)), gradients)
        for parameter, _ in gradients:
            parameter.grad = None
        yield


def _refill(tables: list[tuple[dict[Any, Any], dict[Any, Any]]]) -> None:
    for table, before in tables:
        table.clear()
        table.update(before)


def _restore(tensors: list[tuple[Tensor, Tensor]]) -> None:
    """Put values back, all that can be, before the first that cannot is an error."""
    obstacle = None
    for tensor, before in tensors:
        try:
            if not torch.equal(tensor, before):
                tensor.copy_(before)
        except RuntimeError as error:
            obstacle = obstacle or error
    if obstacle is not None:
        raise obstacle


def _replace(
    values: list[tuple[Parameter | Buffer, Tensor]], gradients: list[tuple[Parameter, Tensor | None]]
) -> None:
    for one, value in values:
        one.value = value
    for parameter, grad in gradients:
        parameter.grad = grad
