"""Watching what every layer computes, without a line in the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mytorch.core import Module

METHODS = ("forward", "backward")
Watch = Callable[[str, Module, Any], None]


@contextmanager
def observe(net: Module, on_forward: Watch, on_backward: Watch) -> Iterator[None]:
    """Within this context, call `on_forward(path, module, output)` after each forward and
    `on_backward(path, module, d_input)` after each backward, a child's before its container's.
    """
    watched = list(net.named_modules())
    before = [{name: vars(module)[name] for name in METHODS if name in vars(module)} for _, module in watched]
    try:
        for path, module in watched:
            vars(module)["forward"] = _then(module.forward, on_forward, path, module, first=True)
            vars(module)["backward"] = _then(module.backward, on_backward, path, module, first=False)
        yield
    finally:
        for (_, module), own in zip(watched, before, strict=True):
            for name in METHODS:
                vars(module).pop(name, None)
            vars(module).update(own)


def _then(method: Callable[..., Any], watch: Watch, path: str, module: Module, *, first: bool) -> Callable[..., Any]:
    def watched(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        watch(path, module, result[0] if first else result)
        return result

    return watched
