"""Loading a state dict, with every difference in one error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mytorch.core.errors import StateError

if TYPE_CHECKING:
    from mytorch.core.module import Module


def load_state(module: Module, state: Mapping[str, Tensor], strict: bool) -> None:
    """Copy a state dict into a module; see Module.load_state_dict."""
    present = dict(module.named_state())
    shared = {name: held for name, held in present.items() if name in state}
    problems = [problem for name, held in shared.items() for problem in _misfits(name, held.value, state[name])]
    if strict:
        problems += _list("missing", [name for name in present if name not in state])
        problems += _list("unexpected", [name for name in state if name not in present])
    if problems:
        raise StateError(f"{type(module).__name__}: state must fit the module; {'; '.join(problems)}")
    with torch.no_grad():
        for name, held in shared.items():
            held.value.copy_(state[name])


def _misfits(name: str, value: Tensor, given: object) -> list[str]:
    if not isinstance(given, Tensor):
        return [f"{name} must be a tensor, got {type(given).__name__}"]
    if given.shape != value.shape:
        return [f"{name} must have shape {tuple(value.shape)}, got {tuple(given.shape)}"]
    if given.is_complex() and not value.is_complex():
        return [f"{name} must be real, got {given.dtype}"]  # a copy would drop the imaginary part
    return []


def _list(what: str, names: list[str]) -> list[str]:
    return [f"{what}: {', '.join(names)}"] if names else []
