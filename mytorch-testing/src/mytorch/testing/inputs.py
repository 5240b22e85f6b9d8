"""What a module is fed: tensors as given, or random ones of the shapes that are given."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from mytorch.testing.structure import is_floating, mapped


def drawn(inputs: tuple[Any, ...], seed: int) -> tuple[Any, ...]:
    """The inputs in float64; a shape such as (4, 3), or one in a tuple, becomes random numbers of both signs."""
    generator = torch.Generator().manual_seed(seed)

    def one(value: Any) -> Any:
        if is_shape(value):
            return torch.randn(value, dtype=torch.float64, generator=generator)
        if isinstance(value, tuple) and value and all(map(is_shape, value)):
            return tuple(map(one, value))
        return doubled(value)

    return tuple(map(one, inputs))


def doubled(value: Any) -> Any:
    """The same value with every floating-point tensor inside in float64, and no part of an autograd graph."""
    return mapped(value, lambda leaf: leaf.detach().double() if is_floating(leaf) else leaf)


def is_shape(value: Any) -> bool:
    """Whether an input is given by its sizes."""
    return isinstance(value, tuple) and bool(value) and all(type(size) is int for size in value)


def input_names(forward: Callable[..., Any], count: int) -> list[str]:
    """What a forward calls its positional inputs; an entry of `*inputs` is "inputs[0]"."""
    names: list[str] = []
    for name, parameter in inspect.signature(forward).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{name}[{number}]" for number in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(name)
    return [*names, *(f"input[{number}]" for number in range(len(names), count))][:count]


def required_inputs(forward: Callable[..., Any]) -> int:
    """How many positional inputs a forward cannot go without."""
    parameters = inspect.signature(forward).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters)
