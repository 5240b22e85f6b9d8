"""How long the sequences of a padded batch are."""

from __future__ import annotations

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    DtypeError,
    Module,
    ShapeError,
    readable,
    require_input,
    require_same_device,
)


def require_lengths(owner: Module, x: Tensor, lengths: Tensor | None) -> None:
    """Raise an error unless x is a batch of sequences, (batch, steps, ...), and `lengths` has one for each.

    ShapeError for other shapes and for no step, DtypeError unless lengths are int64, ArgumentError for a length that
    is not from 1 to the number of steps.
    """
    require_input(owner, x)
    name = type(owner).__name__
    if x.dim() < 2 or x.shape[1] == 0:
        raise ShapeError(f"{name}: x must be (batch, steps, ...) with at least one step, got {tuple(x.shape)}")
    if lengths is None:
        return
    require_input(owner, lengths, "lengths")
    if lengths.shape != x.shape[:1]:
        raise ShapeError(
            f"{name}: lengths must have one number a sequence, {tuple(x.shape[:1])}, got {tuple(lengths.shape)}"
        )
    if lengths.dtype is not torch.int64:
        raise DtypeError(f"{name}: lengths must be int64, got {lengths.dtype}; convert with .long()")
    require_same_device(owner, lengths, x, "lengths", "x")
    seen = readable(lengths)
    if seen is not None and len(seen):
        low, high = (int(bound) for bound in seen.aminmax())
        if low < 1 or high > x.shape[1]:
            wrong = low if low < 1 else high
            raise ArgumentError(f"{name}: lengths must be from 1 to the {x.shape[1]} steps of x, got {wrong}")


def padding_of(x: Tensor, lengths: Tensor) -> Tensor:
    """Which steps are padding, booleans of shape (batch, steps)."""
    return torch.arange(x.shape[1], device=x.device) >= lengths.unsqueeze(1)
