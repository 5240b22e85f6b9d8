"""Watching what every layer computes, without a line in the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mytorch.core import Module

Watch = Callable[[str, Module, Any], None]


@contextmanager
def observe(net: Module, on_forward: Watch, on_backward: Watch) -> Iterator[None]:
    """Within this context, call `on_forward(path, module, output)` after each forward and
    `on_backward(path, module, d_input)` after each backward, a child's before its container's.
    """
    watched = list(net.named_modules())
    for path, module in watched:
        vars(module)["forward"] = _then(module.forward, on_forward, path, module, first=True)
        vars(module)["backward"] = _then(module.backward, on_backward, path, module, first=False)
    try:
        yield
    finally:
        for _, module in watched:
            del vars(module)["forward"], vars(module)["backward"]


def _then(method: Callable[..., Any], watch: Watch, path: str, module: Module, *, first: bool) -> Callable[..., Any]:
    def watched(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        watch(path, module, result[0] if first else result)
        return result

    return watched
