"""A model whose layers compute in half precision, and what stays in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from mytorch.core import Buffer, Module, Parameter
from mytorch.core.tree import own
from mytorch.train.observe import Around, Method, intercept


@contextmanager
def computing_in(net: Module, dtype: torch.dtype, copies: bool, apart: bool = False) -> Iterator[None]:
    """Within this context, forward and backward of `net` compute in `dtype`, between inputs and outputs in float32.

    A layer with floating-point buffers and no children, such as batch normalisation, computes in float32, or its
    running statistics would lose what is small.
    copies: parameters have copies of their values in `dtype`; then they have their own again, and gradients in the
        dtype of those. Otherwise the values have been converted by `convert`.
    apart: whether layers within `net` may be called by themselves; they then compute as `net` does.
    """
    kept = [module for module in net.modules() if _keeps_statistics(module)]
    if net in kept:  # there is nothing else
        yield
        return
    with (
        _copies(converted(net), dtype) if copies else nullcontext(),
        intercept([("", module) for module in kept], _around(torch.float32, dtype)),
        intercept(net.named_modules(), _outermost(dtype, torch.float32))
        if apart
        else intercept([("", net)], _around(dtype, torch.float32)),
    ):
        yield


def converted(net: Module) -> list[Parameter | Buffer]:
    """The parameters and buffers, each once, of the layers that compute in half precision."""
    held = {id(one): one for one in _held(net)}
    for module in net.modules():
        if _keeps_statistics(module):
            for one in _held(module):
                held.pop(id(one), None)
    return list(held.values())


def convert(net: Module, dtype: torch.dtype) -> None:
    """Replace the values of the layers that compute in half precision by the same numbers in `dtype`."""
    with torch.inference_mode(False), torch.no_grad():  # so that they may be trained anywhere
        for one in converted(net):
            one.value = one.value.to(dtype)


def _keeps_statistics(module: Module) -> bool:
    statistics = any(one.value.is_floating_point() for _, one in own(module, Buffer))
    return statistics and not list(module.children())


def _held(module: Module) -> list[Parameter | Buffer]:
    """Every parameter and buffer that holds floating-point numbers, once."""
    return [one for one in dict.fromkeys(one for _, one in module.named_state()) if one.value.is_floating_point()]


@contextmanager
def _copies(held: list[Parameter | Buffer], dtype: torch.dtype) -> Iterator[None]:
    """Within this context, values are copies in `dtype`. What was written into the copy of a buffer is kept."""
    before = [one.value for one in held]
    for one in held:
        one.value = one.value.to(dtype)
    try:
        yield
    finally:
        for one, value in zip(held, before, strict=True):
            if isinstance(one, Buffer):
                value.copy_(torch.where(one.value == value.to(dtype), value, one.value.to(value.dtype)))
            one.value = value
        for one in held:  # by now the copies are freed
            if isinstance(one, Parameter) and one.grad is not None:
                one.grad = one.grad.to(one.value.dtype)


def _around(within: torch.dtype, outside: torch.dtype) -> Around:
    """A module's forward and backward that compute in the dtype `within`, between numbers in the dtype `outside`."""

    def around(_path: str, _module: Module, name: str, method: Method) -> Method:
        @wraps(method)
        def forward(*inputs: Any, **options: Any) -> Any:
            pair = method(*cast(inputs, within), **cast(options, within))
            if type(pair) is not tuple or len(pair) != 2:
                return pair  # which is refused by whoever asked
            return cast(pair[0], outside), pair[1]

        @wraps(method)
        def backward(d_output: Any, saved: Any) -> Any:
            return cast(method(cast(d_output, within), saved), outside)

        return forward if name == "forward" else backward

    return around


def _outermost(within: torch.dtype, outside: torch.dtype) -> Around:
    """As `_around`, for the modules that are called by what is no other module: the rest are within one already."""
    depth = 0

    def around(path: str, module: Module, name: str, method: Method) -> Method:
        cast_method = _around(within, outside)(path, module, name, method)

        @wraps(method)
        def outermost(*args: Any, **kwargs: Any) -> Any:
            nonlocal depth
            depth += 1
            try:
                return (cast_method if depth == 1 else method)(*args, **kwargs)
            finally:
                depth -= 1

        return outermost

    return around


def cast(values: Any, dtype: torch.dtype) -> Any:
    """The floating-point tensors among values, in lists, tuples and dicts too, in another dtype; the rest as it is."""
    if isinstance(values, Tensor):
        return values.to(dtype) if values.is_floating_point() else values
    return pytree.tree_map_only(Tensor, lambda one: one.to(dtype) if one.is_floating_point() else one, values)
