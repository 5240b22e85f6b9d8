"""What must be the same in several processes that train together, in words and numbers that can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from mytorch.core import DescriptionError, Module, describe
from mytorch.train.checkpoint.fingerprint import digest_of
from mytorch.train.setup import Setup


def alike(setup: Setup) -> dict[str, Any]:
    """The layers with their arguments, the shapes of what they hold, and the settings of optimizer and schedule.

    Values of parameters are left out: all processes start with those of the first.
    """
    found = {**_described("model", setup.net), **_described("loss", setup.loss)}
    for owner, module in (("model", setup.net), ("loss", setup.loss)):
        found |= {f"{owner} {name}": _held(held.value) for name, held in module.named_state()}
    for number, group in enumerate(setup.optimizer.param_groups):
        settings = {name: value for name, value in group.items() if name != "params"}
        found |= dict(_flat(f"optimizer group {number}", {**settings, "parameters": len(group["params"])}))
    if setup.schedule is not None:
        found |= dict(_flat("schedule", setup.schedule.state_dict()))
    return found


def _held(value: Tensor) -> str:
    return f"{tuple(value.shape)} of {value.dtype}"


def _described(kind: str, module: Module) -> dict[str, Any]:
    """Each argument of each layer; nothing for a module that JSON cannot describe."""
    try:
        description, tensors = describe(module, "layer" if kind == "model" else kind)
    except DescriptionError:
        return {}
    return dict(_flat(kind, description["model"])) | {f"{kind} {name}": digest_of(t) for name, t in tensors.items()}


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Entries by dotted names; what is no number or text counts by its digest."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _flat(f"{name}.{key}", entry)
    elif isinstance(value, (list, tuple)):
        for place, entry in enumerate(value):
            yield from _flat(f"{name}.{place}", entry)
    else:
        yield name, value if isinstance(value, (str, int, float, bool, type(None))) else digest_of(value)
