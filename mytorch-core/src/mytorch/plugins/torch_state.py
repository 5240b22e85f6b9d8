"""What a plugin could change of torch by being imported, if torch is there. Imports no torch itself."""

import sys
from types import ModuleType
from typing import Any

_WATCHED = ("", "nn", "nn.functional", "nn.init", "nn.Module", "optim", "autograd", "linalg", "random", "Tensor")
_SETTINGS = (
    "get_default_dtype",
    "get_num_threads",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "are_deterministic_algorithms_enabled",
    "get_float32_matmul_precision",
)
_MISSING = object()


def torch_state() -> dict[str, Any]:
    """Public attributes and global settings of torch by name; nothing if it is not imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    state: dict[str, Any] = {}
    for path in _WATCHED:
        owner: Any = torch
        for name in filter(None, path.split(".")):
            owner = getattr(owner, name)
        prefix = f"torch.{path}." if path else "torch."
        own = dict(vars(owner))
        state |= {prefix + name: value for name, value in own.items() if _watched(name, owner)}
    return state | {f"torch.{name}()": getattr(torch, name)() for name in _SETTINGS}


def _watched(name: str, owner: Any) -> bool:
    if name.startswith("__"):
        return isinstance(owner, type) and name not in ("__dict__", "__weakref__", "__doc__")
    return not name.startswith("_")


def torch_changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of what differs. A submodule that came with an import is no change."""
    return [
        name
        for name in sorted(before | after)
        if not _same(before.get(name, _MISSING), after.get(name, _MISSING))
        if name in before or not isinstance(after[name], ModuleType)
    ]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (bool, int, str)) and isinstance(other, (bool, int, str)):
        return one == other
    return one is other
