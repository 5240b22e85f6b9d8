"""What an optimizer keeps for each parameter: whether it fits, and how it follows a value that moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from mytorch.core.compiling import is_compiling
from mytorch.core.placing import placed
from mytorch.plugins import shown

Entry = Literal["value", "rows", "columns", "number", "other"]
"""What an entry of the state is: a tensor of the value's shape, or of that with 1 for the last axis ("rows") or for
the last but one ("columns"), which follows the value to another dtype or device; a number, or a tensor of one, which
follows it to another device; or something that only the optimizer can judge."""
SHAPED = ("value", "rows", "columns")
Entries = Mapping[str, Entry]
State = dict[str, Any]
"""What is kept for one parameter, by name."""


def persistent(value: Tensor) -> Tensor:
    """A copy that may be kept and written into after inference mode ends, as optimizer state must be.

    It lies where `placing` puts it.
    """
    if is_compiling():
        return value.clone()
    copy = placed(value)
    if copy is not value:
        return copy
    with torch.inference_mode(False), torch.no_grad():
        return value.clone()


def copied(held: Any) -> Any:
    """A persistent copy of what is a tensor, and anything else as it is."""
    return persistent(held) if isinstance(held, Tensor) else held


def misfit(held: Any, kind: Entry, value: Tensor) -> str | None:
    """What is wrong with an entry of the state of a parameter that has this value; None if it fits."""
    if kind == "other":
        return None
    if isinstance(held, Tensor) and (held.layout is not torch.strided or held.is_meta != value.is_meta):
        return f"must be a dense tensor with numbers, got one of {held.layout} on {held.device}"
    if kind == "number":
        if isinstance(held, Tensor) and (held.is_complex() or held.dtype is torch.bool):
            return f"must be one real number, got a tensor of {held.dtype}"
        one = held.numel() == 1 if isinstance(held, Tensor) else type(held) in (int, float)
        return None if one else f"must be one number, got {_described(held)}"
    if kind != "value" and value.dim() < 2:
        return f"must belong to a value with two axes or more, got one of {tuple(value.shape)}"
    shape = entry_shape(kind, value)
    if not isinstance(held, Tensor) or held.shape != shape:
        what = "the shape of the value" if kind == "value" else f"a number for each of the value's {kind}"
        return f"must have {what}, {tuple(shape)}, got {_described(held)}"
    if held.is_complex() != value.is_complex() or not (held.is_floating_point() or held.is_complex()):
        return f"must hold numbers such as the value's, {value.dtype}, got {held.dtype}"
    return None


def entry_shape(kind: Entry, value: Tensor) -> torch.Size:
    """The shape of an entry that follows a value; for rows and columns the value has two axes or more."""
    shape = list(value.shape)
    if kind != "value":
        shape[-1 if kind == "rows" else -2] = 1
    return torch.Size(shape)


def misfits(state: Mapping[str, Any], entries: Entries, value: Tensor) -> Iterator[str]:
    """Every difference between a loaded state and what a parameter with this value would have."""
    for name, held in state.items():
        if name not in entries:
            yield f"state must have the entries of state_entries, {', '.join(entries) or 'none'}, got {shown(name)}"
        elif problem := misfit(held, entries[name], value):
            yield f"state {name!r} {problem}"


def move(state: State, entries: Entries, value: Tensor) -> None:
    """Convert what follows the value to its dtype and device; a tensor of one number keeps its dtype."""
    for name, held in state.items():
        kind = entries.get(name)
        if kind in SHAPED and (held.dtype is not value.dtype or held.device != value.device):
            state[name] = persistent(held.to(device=value.device, dtype=value.dtype))
        elif kind == "number" and isinstance(held, Tensor) and held.device != value.device:
            state[name] = persistent(held.to(value.device))  # torch's fused kernels want it there


def walkable(values: Sequence[Tensor], columns: Iterator[Sequence[Tensor]] | Sequence[Sequence[Tensor]] = ()) -> bool:
    """Whether a kernel that walks through memory may be given these tensors.

    torch's fused kernels see no strides and no shapes but the value's. So all must be dense and contiguous, of one
    dtype and on one device, and each column must hold a tensor of the value's shape for each value. Half precision is
    left out: torch 2.13's kernels for the CPU leave most of a longer tensor as it was.
    """
    dtype, device = values[0].dtype, values[0].device
    if dtype not in (torch.float32, torch.float64) or device.type not in ("cpu", "cuda"):
        return False
    shapes = [value.shape for value in values]
    for column in (values, *columns):
        for tensor, shape in zip(column, shapes, strict=True):
            dense = isinstance(tensor, Tensor) and tensor.layout is torch.strided and not tensor.is_neg()
            if not (dense and tensor.shape == shape and tensor.dtype is dtype and tensor.device == device):
                return False
            if not tensor.is_contiguous():
                return False
    return True


def countable(values: Sequence[Tensor], column: Sequence[Tensor]) -> bool:
    """Whether such a kernel may be given these numbers, such as counts: float32, beside their values."""
    for held, value in zip(column, values, strict=True):
        if not isinstance(held, Tensor) or held.layout is not torch.strided or held.is_neg():
            return False
        if held.numel() != 1 or held.dtype is not torch.float32 or held.device != value.device:
            return False
    return True


def _described(held: Any) -> str:
    return f"a tensor of {tuple(held.shape)}" if isinstance(held, Tensor) else repr(held)
