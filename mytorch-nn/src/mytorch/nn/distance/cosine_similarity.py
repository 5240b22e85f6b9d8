"""The cosine of the angle between the vectors of two tensors."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import ShapeError, require_like, require_range, require_saved, require_upstream, require_whole
from mytorch.nn._own import require_own
from mytorch.nn.distance._pair import Pair

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

    def _length(self, x: Tensor, axis: int) -> Tensor:
        length: Tensor = torch.linalg.vector_norm(x, dim=axis, keepdim=True)
        return length.clamp(min=self.eps)
