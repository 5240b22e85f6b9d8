"""Values as one writes them in Python, so that a reproduction can be pasted."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Module, Parameter

FEW = 16  # numbers of a tensor that are written out


def expression(value: Any) -> str:
    """What builds such a value: constructors of modules, and for a tensor what draws one of its shape and range."""
    match value:
        case Module():
            return _call(value)
        case Parameter():
            return f"Parameter({expression(value.value)})"
        case Tensor():
            return _tensor(value)
        case tuple() if hasattr(value, "_fields"):
            return f"{type(value).__name__}({', '.join(map(expression, value))})"
        case tuple():
            return f"({', '.join(map(expression, value))}{',' if len(value) == 1 else ''})"
        case list():
            return f"[{', '.join(map(expression, value))}]"
        case Mapping():
            return f"{{{', '.join(f'{key!r}: {expression(entry)}' for key, entry in value.items())}}}"
        case float() if value != value or abs(value) == float("inf"):
            return f"float({str(value)!r})"
        case torch.device():
            return f"torch.{value!r}"
    if inspect.isroutine(value) or isinstance(value, type):
        return str(getattr(value, "__name__", "...")) if "<" not in getattr(value, "__qualname__", "<") else "..."
    return " ".join(repr(value).split())


def _call(module: Module) -> str:
    cls = type(module)
    parameters = inspect.signature(cls.__init__).parameters
    written: list[str] = []
    for name, value in module.arguments().items():
        if parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
            written += map(expression, value)
        elif parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            written += [f"{key}={expression(entry)}" for key, entry in value.items()]
        elif not _is_default(value, parameters[name].default):
            positional = isinstance(value, Module) and list(parameters).index(name) == len(written) + 1
            written.append(expression(value) if positional else f"{name}={expression(value)}")
    return f"{cls.__name__}({', '.join(written)})"


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (type(value) in (int, float, str, bool, tuple) and value == default)


def _tensor(value: Tensor) -> str:
    shape = tuple(value.shape)
    if value.numel() == 0 or value.is_meta:
        return f"torch.zeros({shape}, dtype={value.dtype})"
    if value.is_floating_point() and value.numel() > 1:
        drawn = "rand" if bool(((value >= 0) & (value <= 1)).all()) else "randn"
        return f"torch.{drawn}({shape}, dtype=torch.float64)"
    if value.numel() <= FEW:
        return f"torch.tensor({value.tolist()}, dtype={value.dtype})"
    if value.dtype is torch.bool:
        return f"torch.rand({shape}) < 0.5"
    if value.is_complex():
        return f"torch.randn({shape}, dtype={value.dtype})"
    return f"torch.randint({int(value.min())}, {int(value.max()) + 1}, {shape}, dtype={value.dtype})"
