"""Reading a dtype from its name."""

import math

import torch

from mytorch.core import ArgumentError
from mytorch.plugins import shown

NAMES = ("float32", "float64", "float16", "bfloat16")


def floating_dtype(owner: str, dtype: torch.dtype | str) -> torch.dtype:
    """A floating-point dtype from itself or its name. Raises ArgumentError for any other."""
    name = str(dtype).removeprefix("torch.")
    if name not in NAMES:
        raise ArgumentError(f"{owner}: dtype must be one of {', '.join(NAMES)}, got {shown(name)}")
    found: torch.dtype = getattr(torch, name)
    return found


def digits_of(dtype: torch.dtype) -> int:
    """By how many significant digits a number is told from any other of its dtype: 9 in float32, 17 in float64."""
    return math.ceil(1 + (1 - math.log2(torch.finfo(dtype).eps)) * math.log10(2))
