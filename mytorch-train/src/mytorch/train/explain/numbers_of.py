"""What a tensor holds: all its numbers if they are few, else what they come to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from mytorch.train.explain.picture import Picture

WHOLE = 12
"""A tensor of at most so many numbers is told whole."""
BINS = 24
"""Bars of a histogram."""


@dataclass(frozen=True)
class Numbers:
    """A tensor by its name."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: Any
    """The numbers as nested lists, or None if there are more than 12."""
    low: float
    high: float
    mean: float
    norm: float
    """The square root of the sum of squares. These four are of the magnitudes where numbers are complex."""
    picture: Picture | None = None
    histogram: tuple[int, ...] = ()
    """How many numbers lie in each of as many parts of equal width from low to high; of what is not told whole."""

    @classmethod
    def of(cls, name: str, value: Tensor | float) -> Numbers:
        """Count a tensor, or a plain number."""
        tensor = value.detach() if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        values = tensor.tolist() if tensor.numel() <= WHOLE else None
        dtype = dtype_of(value) if isinstance(value, Tensor) else "number"
        flat = (tensor.abs() if tensor.is_complex() else tensor).double().flatten()
        if not flat.numel():
            return cls(name, tuple(tensor.shape), dtype, values, math.nan, math.nan, math.nan, 0.0)
        low, high = (bound.item() for bound in flat.aminmax())
        return cls(name, tuple(tensor.shape), dtype, values, low, high, flat.mean().item(), flat.norm().item())


def histogram(value: Tensor) -> tuple[int, ...]:
    """How many of a tensor's finite numbers lie in each part between the smallest and the largest of them."""
    flat = (value.abs() if value.is_complex() else value).detach().float().flatten()
    counts = torch.histc(flat[flat.isfinite()].cpu(), BINS)
    return tuple(counts.int().tolist())


def named(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every tensor and number in a nested value, with a name such as "x", "x[0]" or "x[key]"; None has none."""
    if isinstance(value, (Tensor, float, int)) and not isinstance(value, bool):
        yield name, value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from named(f"{name}[{key}]", entry)
    elif isinstance(value, (tuple, list)):
        for index, entry in enumerate(value):
            yield from named(f"{name}[{index}]", entry)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from named(f"{name}.{field.name}", getattr(value, field.name))


def tensors_in(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """Every tensor in a nested value, with its name."""
    return ((inner, entry) for inner, entry in named(name, value) if isinstance(entry, Tensor))


def copied(value: Any) -> Any:
    """A nested value with every tensor copied, so that each has a storage of its own."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, (tuple, list)):
        return type(value)(map(copied, value)) if type(value) in (tuple, list) else tuple(map(copied, value))
    return value


def dtype_of(value: Tensor) -> str:
    """The dtype of a tensor, such as "float32"."""
    return str(value.dtype).removeprefix("torch.")
