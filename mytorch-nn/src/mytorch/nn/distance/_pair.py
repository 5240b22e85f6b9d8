"""What distances share: two inputs that are broadcast against each other."""

from __future__ import annotations

import torch
from torch import Tensor

from mytorch.core import DtypeError, Module, ShapeError, require_floating, require_same_device


class Pair(Module):
    """The base of layers of two inputs, x1 and x2, that are broadcast against each other."""

    def _common_shape(self, x1: Tensor, x2: Tensor) -> torch.Size:
        """The shape of both. Raises DtypeError unless they are floating point of one dtype; ArgumentError unless on
        one device; ShapeError without a shape."""
        require_floating(self, x1, "x1")
        require_floating(self, x2, "x2")
        name = type(self).__name__
        if x1.dtype is not x2.dtype:
            raise DtypeError(f"{name}: x2 must have the dtype of x1, {x1.dtype}, got {x2.dtype}")
        require_same_device(self, x2, x1, "x2", "x1")
        shape, other = list(x1.shape), list(x2.shape)
        shape, other = [1] * (len(other) - len(shape)) + shape, [1] * (len(shape) - len(other)) + other
        if not shape or any(a != b and 1 not in (a, b) for a, b in zip(shape, other, strict=True)):
            raise ShapeError(
                f"{name}: x2 must have the shape of x1 or one that broadcasts with it, and at least one axis, "
                f"got {tuple(x2.shape)} for {tuple(x1.shape)}"
            )
        return torch.Size([b if a == 1 else a for a, b in zip(shape, other, strict=True)])


def moved(t_input: tuple[Tensor | None, Tensor | None] | None, shape: torch.Size) -> tuple[Tensor, Tensor] | None:
    """The tangents of both inputs in their common shape, zeros for one that does not move; None if neither does."""
    t_x1, t_x2 = t_input or (None, None)
    moves = t_x2 if t_x1 is None else t_x1
    if moves is None:
        return None
    still = moves.new_zeros(())
    return (still if t_x1 is None else t_x1).expand(shape), (still if t_x2 is None else t_x2).expand(shape)
