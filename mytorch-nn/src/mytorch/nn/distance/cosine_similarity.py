"""The cosine of the angle between the vectors of two tensors."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    Directions,
    ShapeError,
    require_like,
    require_range,
    require_saved,
    require_upstream,
    require_whole,
)
from mytorch.nn._own import require_own
from mytorch.nn._tangents import backward_of_both
from mytorch.nn.distance._pair import Pair, moved

Saved = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, torch.Size, torch.Size, int]


class CosineSimilarity(Pair):
    """The cosine of the angle between each vector of x1 and its counterpart in x2.

    Forward:   n1 = max(|x1|, eps), n2 = max(|x2|, eps), |x| = sqrt(sum of x * x);  y = sum(x1 * x2) / (n1 * n2), all
               sums along dim
    Backward:  d_x1 = d_y * (x2 / n2 - y * x1 / n1) / n1, and in turn for d_x2; without the part of y where |x1| is not
               above eps, since n1 is a constant there; summed over the axes that were broadcast
    Differs:   where a length is above 0 and below eps, torch's gradient is not the derivative of this formula
    Shapes:    x1, x2: broadcast against each other;  y: that shape without the axis dim
    Raises:    ShapeError unless x1 and x2 are broadcast against each other and have the axis dim, or if d_y has not
               the shape of y;  DtypeError unless they are floating point of one dtype;
               ArgumentError unless dim is a whole number and eps a number of at least 0
    Source:    Manning, Raghavan and Schuetze 2008, "Introduction to Information Retrieval", section 6.3.1; the use of
               eps is that of torch.nn.CosineSimilarity

    Example:
        >>> CosineSimilarity()(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]]))
        tensor([0.6000])
    """

    conformance: ClassVar[dict[str, Any]] = {"inputs": [(5, 3), (5, 3)], "tags": ("fixed_dimensions",)}

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        require_whole(self, "dim", dim, None)
        require_range(self, "eps", eps, 0)
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Saved]:
        shape, shape1, shape2 = self._common_shape(x1, x2), x1.shape, x2.shape
        axes = len(shape)
        if not -axes <= self.dim < axes:
            raise ShapeError(f"CosineSimilarity: x1 and x2 must have an axis {self.dim}, got {tuple(shape)} of both")
        axis = self.dim % axes - axes  # from the end, where broadcasting puts no axes
        x1, x2 = x1.expand(shape), x2.expand(shape)
        n1, n2 = self._length(x1, axis), self._length(x2, axis)
        unit1, unit2 = x1 / n1, x2 / n2
        y = (unit1 * unit2).sum(axis)
        return y, (unit1, unit2, n1, n2, y, shape1, shape2, axis)

    def backward(self, d_y: Tensor, saved: Saved) -> tuple[Tensor | None, Tensor | None]:
        require_saved(self, saved, *(Tensor,) * 5, torch.Size, torch.Size, int)
        unit1, unit2, n1, n2, y, shape1, shape2, axis = saved
        axes = unit1.dim()
        require_own(self, "dim", self.dim % axes - axes, axis)
        require_upstream(self, d_y, y.shape)
        require_like(self, d_y, y, "d_y", "output")
        if not self.input_grad:
            return None, None
        d_y, y = d_y.unsqueeze(axis), y.unsqueeze(axis)
        d_x1 = unit2.addcmul(unit1, y.where(n1 > self.eps, 0), value=-1).mul_(d_y / n1)
        d_x2 = unit1.addcmul(unit2, y.where(n2 > self.eps, 0), value=-1).mul_(d_y / n2)
        return d_x1.sum_to_size(shape1), d_x2.sum_to_size(shape2)

    def tangent(
        self,
        t_input: tuple[Tensor | None, Tensor | None] | None,
        saved: Saved,
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
        unit1, unit2, n1, n2, *_, axis = saved
        both = moved(t_input, unit1.shape)
        if both is None:
            return None, None
        t_unit1, t_n1 = self._turned(both[0], unit1, n1, axis)
        t_unit2, t_n2 = self._turned(both[1], unit2, n2, axis)
        t_y = (t_unit1 * unit2 + unit1 * t_unit2).sum(axis)
        return t_y, (t_unit1, t_unit2, t_n1, t_n2, t_y)

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, saved: Saved, t_saved: tuple[Tensor, ...] | None, along: Directions
    ) -> tuple[Any, Any]:
        """With e1 = unit2 - y * unit1, d_x1 = d_y * e1 / n1, by the product rule, and in turn for d_x2."""
        d_input, t_d_input = backward_of_both(self, d_y, t_d_y, saved, t_saved, along)
        if t_saved is None or not self.input_grad:
            return d_input, t_d_input
        unit1, unit2, n1, n2, y, shape1, shape2, axis = saved
        t_unit1, t_unit2, t_n1, t_n2, t_y = t_saved
        d_y, y, t_y = (each.unsqueeze(axis) for each in (d_y, y, t_y))

        def bend(own: tuple[Tensor, ...], other: Tensor, t_other: Tensor) -> Tensor:
            unit, n, t_unit, t_n = own
            own_part, t_own_part = y * unit, t_y * unit + y * t_unit
            e, t_e = (a - b.where(n > self.eps, 0) for a, b in ((other, own_part), (t_other, t_own_part)))
            return d_y * (t_e - e * t_n / n) / n

        t_d_x1, t_d_x2 = t_d_input
        t_d_x1 = t_d_x1 + bend((unit1, n1, t_unit1, t_n1), unit2, t_unit2).sum_to_size(shape1)
        t_d_x2 = t_d_x2 + bend((unit2, n2, t_unit2, t_n2), unit1, t_unit1).sum_to_size(shape2)
        return d_input, (t_d_x1, t_d_x2)

    def _turned(self, t_x: Tensor, unit: Tensor, n: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """The change of x / n, and that of n, which is a constant where it is eps."""
        t_n = (unit * t_x).sum(axis, keepdim=True).where(n > self.eps, 0)
        return (t_x - unit * t_n) / n, t_n

    def _length(self, x: Tensor, axis: int) -> Tensor:
        length: Tensor = torch.linalg.vector_norm(x, dim=axis, keepdim=True)
        return length.clamp(min=self.eps)
