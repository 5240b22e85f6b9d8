"""Where a model is trained: on the processor or on an accelerator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, keep_origin, require_device

CPU = torch.device("cpu")


def choose_device(owner: str, name: str | torch.device) -> torch.device:
    """The device of a name such as "cpu", "cuda", "cuda:1" or "mps"; for "auto" the accelerator, if there is one.

    Raises ArgumentError for a name that torch does not know, and for a device that this machine, or this build of
    torch, does not have.
    """
    if name == "auto":
        return _accelerator() or CPU
    device = require_device(owner, name)
    if device is None or device.type == "meta":
        raise ArgumentError(
            f"{owner}: device must be one that stores numbers, such as cpu, cuda or auto, got {name!r}"
        )
    try:
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        found = _accelerator()
        there = "cpu" if found is None else f"cpu and {found.type}"
        raise ArgumentError(
            f"{owner}: device must be one that this machine and this build of torch have, {there}, got {str(name)!r}; "
            'device = "auto" uses the accelerator, if there is one'
        ) from error
    return device


def _accelerator() -> torch.device | None:
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None


def device_of(net: Module) -> torch.device:
    """Where the first parameter of a model is, ours or its twin of PyTorch; the processor for a model without any."""
    return place_of(next(iter(net.parameters()), None))


def place_of(first: Any) -> torch.device:
    """Where a parameter is, ours or PyTorch's; the processor for None."""
    device: torch.device = CPU if first is None else getattr(first, "value", first).device
    return device


def move(value: Any, device: torch.device) -> Any:
    """A tensor, or every tensor in dicts, tuples and lists, on a device; anything else as it is.

    Nobody waits for what goes to an accelerator, where `readable` finds what its numbers are. What comes to the
    processor is there when this returns.
    """
    if isinstance(value, Tensor):
        if device.type == "cpu":
            return value.to(device)
        return keep_origin(value.to(device, non_blocking=True), value)
    if isinstance(value, Mapping):
        return {name: move(entry, device) for name, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(move(entry, device) for entry in value)
    return value


def keep_origins(moved: Any, origin: Any) -> None:
    """Let `readable` find the numbers of every tensor in a value that was moved, nested as the other is."""
    if isinstance(moved, Tensor):
        keep_origin(moved, origin)
    elif isinstance(moved, Mapping):
        for name, entry in moved.items():
            keep_origins(entry, origin[name])
    elif isinstance(moved, (tuple, list)):
        for one, other in zip(moved, origin, strict=True):
            keep_origins(one, other)
