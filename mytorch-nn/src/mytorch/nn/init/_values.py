"""What the initialisers have in common: what they fill, and what they refuse."""

from __future__ import annotations

import torch
from torch import Tensor

from mytorch.core import Parameter, ShapeError, require_input

Filled = Tensor | Parameter
Generator = torch.Generator | None


def values_of(name: str, tensor: Filled, axes: tuple[int, ...] = (), at_least: int = 0) -> Tensor:
    """The numbers to be filled, those of a Parameter or a tensor's own.

    axes: how many axes there may be, any number if empty;  at_least: how many there must be.
    Raises ArgumentError for neither, and ShapeError for another number of axes.
    """
    values = tensor.value if isinstance(tensor, Parameter) else tensor
    require_input(name, values, "tensor")
    if (axes and values.dim() not in axes) or values.dim() < at_least:
        rule = " or ".join(map(str, axes)) if axes else f"at least {at_least}"
        raise ShapeError(f"{name}: tensor must have {rule} axes, got {values.dim()} in {tuple(values.shape)}")
    return values
