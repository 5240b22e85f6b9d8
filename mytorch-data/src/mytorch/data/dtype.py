"""Reading a dtype from its name."""

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
