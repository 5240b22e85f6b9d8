"""Watching what every layer computes, without a line in the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from mytorch.core import Module

METHODS = ("forward", "backward")
Watch = Callable[[str, Module, Any], None]
Method = Callable[..., Any]
Around = Callable[[str, Module, str, Method], Method]


@contextmanager
def observe(net: Module, on_forward: Watch, on_backward: Watch) -> Iterator[None]:
    """Within this context, call `on_forward(path, module, output)` after each forward and
    `on_backward(path, module, d_input)` after each backward, a child's before its container's.
    """

    def around(path: str, module: Module, name: str, method: Method) -> Method:
        return _then(method, on_forward if name == "forward" else on_backward, path, module, first=name == "forward")

    with intercept(net.named_modules(), around):
        yield


@contextmanager
def intercept(named: Iterable[tuple[str, Module]], around: Around, methods: Iterable[str] = METHODS) -> Iterator[None]:
    """Within this context, `around(path, module, name, method)` stands for the forward and backward of each module.

    named: the modules with their paths, each once;  methods: those that are replaced.
    """
    methods, replaced = list(methods), list[tuple[dict[str, Any], str, Method | None]]()
    try:
        for path, module in list(named):
            own = vars(module)
            for name in methods:
                method = getattr(module, name)
                replaced.append((own, name, own.get(name)))
                own[name] = around(path, module, name, method)
        yield
    finally:
        for own, name, before in reversed(replaced):
            if before is None:
                own.pop(name, None)
            else:
                own[name] = before


def _then(method: Method, watch: Watch, path: str, module: Module, *, first: bool) -> Method:
    @wraps(method)  # so that its signature is still known
    def watched(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        watch(path, module, result[0] if first else result)
        return result

    return watched
