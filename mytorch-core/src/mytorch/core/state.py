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
    problems = [
        f"{name} must have shape {tuple(held.value.shape)}, got {tuple(state[name].shape)}"
        for name, held in shared.items()
        if held.value.shape != state[name].shape
    ]
    if strict:
        problems += _list("missing", [name for name in present if name not in state])
        problems += _list("unexpected", [name for name in state if name not in present])
    if problems:
        raise StateError(f"{type(module).__name__}: state must fit the module; {'; '.join(problems)}")
    with torch.no_grad():
        for name, held in shared.items():
            held.value.copy_(state[name])


def _list(what: str, names: list[str]) -> list[str]:
    return [f"{what}: {', '.join(names)}"] if names else []
