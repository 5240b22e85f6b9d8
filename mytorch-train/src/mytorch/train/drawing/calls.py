"""What each layer of a network makes of some inputs, call by call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any

from torch import Tensor

from mytorch.core import STEP, Detail, Module
from mytorch.train.batches import call
from mytorch.train.evaluation import judging
from mytorch.train.observe import intercept


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a layer's forward that has returned."""

    path: str
    module: Module
    output: Tensor | None
    """The first tensor of what it gave."""
    looks: tuple[Detail, ...]
    """What it tells of steps that look at steps, such as the weights of attention."""
    passes_on: bool
    """Whether all of its output comes from layers inside, so that it says nothing new."""


def calls_of(net: Module, inputs: Any, asked: Collection[str] | None = None) -> list[Call]:
    """The calls by which a network computes its output in evaluation mode, in the order in which they return.

    asked: paths of the layers that are asked what looks at what; all of them if None.
    """
    found: list[Call] = []
    inner: list[list[Tensor]] = [[]]

    def around(path: str, module: Module, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        if name != "forward":
            return method

        @wraps(method)  # so that its signature is still known
        def watched(*args: Any, **kwargs: Any) -> Any:
            inner.append([])
            output, saved = method(*args, **kwargs)
            given, inside = tensors_of(output), inner.pop()
            inner[-1] += given
            told = asked is None or path in asked
            looks = _looks(module, method, args, kwargs, output, saved) if told else ()
            passes_on = bool(given) and all(any(value is one for one in inside) for value in given)
            found.append(Call(path, module, next(iter(given), None), looks, passes_on))
            return output, saved

        return watched

    with judging(net), intercept(net.named_modules(), around):
        call(net.forward, inputs)
    return found


def first_row(inputs: Any) -> Any:
    """A batch of the first row of a batch's inputs."""
    if isinstance(inputs, Tensor):
        return inputs[:1]
    if isinstance(inputs, Mapping):
        return {name: first_row(entry) for name, entry in inputs.items()}
    return tuple(map(first_row, inputs)) if isinstance(inputs, (tuple, list)) else inputs


def tensors_of(value: Any) -> list[Tensor]:
    """The tensors of nested tuples and lists."""
    if isinstance(value, Tensor):
        return [value]
    return [one for entry in value for one in tensors_of(entry)] if isinstance(value, (tuple, list)) else []


def _looks(
    module: Module, method: Callable[..., Any], args: Any, kwargs: Any, output: Any, saved: Any
) -> tuple[Detail, ...]:
    if type(module).forward_details is Module.forward_details:
        return ()
    found: list[Detail] = []
    with suppress(Exception):  # what a layer cannot tell leaves the drawing to the others; explain shows why
        names = inspect.signature(method).bind(*args, **kwargs).arguments
        found += [detail for detail in module.forward_details(names, output, saved) if _is_of_steps(detail)]
    return tuple(found)


def _is_of_steps(detail: Detail) -> bool:
    return len(detail.axes) > 1 and all(axis.endswith(STEP) for axis in detail.axes[-2:])
