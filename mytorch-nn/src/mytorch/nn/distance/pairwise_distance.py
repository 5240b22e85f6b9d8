"""The distance between the vectors of two tensors."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    Directions,
    ShapeError,
    require_flags,
    require_like,
    require_range,
    require_saved,
    require_upstream,
)
from mytorch.nn._norm import p_norm, p_norm_backward, p_norm_bend, p_norm_tangent
from mytorch.nn._own import require_own
from mytorch.nn._tangents import backward_of_both
from mytorch.nn.distance._pair import Pair, moved

Saved = tuple[Tensor, Tensor, torch.Size, torch.Size, float]


class PairwiseDistance(Pair):
    """The distance between each vector of x1 and its counterpart in x2: the p-norm of their difference.

    Forward:   u = x1 - x2 + eps;  y = (sum of |u[i]|^p)^(1 / p) over the last axis; for p = inf the largest |u[i]|,
               for p = 0 the number of those that are not 0
    Backward:  d_u = d_y * sign(u) * (|u| / y)^(p - 1), 0 where y is 0; for p = inf the largest |u[i]| share d_y
               equally; for p = 0 it is 0;  d_x1 = d_u;  d_x2 = -d_u; summed over the axes that were broadcast
    Shapes:    x1, x2: (..., dim), broadcast against each other;  y: (...), with keepdim (..., 1)
    Raises:    ShapeError unless x1 and x2 are broadcast against each other and have one axis at least, with a number
               in it where p is inf or below 0, or if d_y has not the shape of y;
               DtypeError unless they are floating point of one dtype;  ArgumentError unless p and eps are numbers
    Source:    Goodfellow, Bengio and Courville 2016, "Deep Learning", section 2.5, for the p-norm; the use of eps is
               that of torch.nn.PairwiseDistance

    Example:
        >>> PairwiseDistance(eps=0.0)(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]]))
        tensor([5.])
    """

    conformance: ClassVar[dict[str, Any]] = {"inputs": [(5, 3), (5, 3)]}

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        require_flags(self, keepdim=keepdim)
        require_range(self, "p", p)
        require_range(self, "eps", eps)
        self.p, self.eps, self.keepdim = float(p), eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Saved]:
        shape = self._common_shape(x1, x2)
        if not shape[-1] and (self.p < 0 or self.p == math.inf):
            raise ShapeError(
                f"PairwiseDistance: x1 and x2 must have a number in their last axis for p = {self.p:g}, got "
                f"{tuple(x1.shape)} and {tuple(x2.shape)}; without numbers, the distance is 0 for a finite p of at "
                "least 0"
            )
        u = (x1 - x2).add_(self.eps)
        length = p_norm(u, self.p)
        return length.unsqueeze(-1) if self.keepdim else length, (u, length, x1.shape, x2.shape, self.p)

    def backward(self, d_y: Tensor, saved: Saved) -> tuple[Tensor | None, Tensor | None]:
        require_saved(self, saved, Tensor, Tensor, torch.Size, torch.Size, float)
        u, length, shape1, shape2, p = saved
        require_own(self, "p", self.p, p)
        require_upstream(self, d_y, (*length.shape, 1) if self.keepdim else length.shape)
        require_like(self, d_y, u, "d_y", "output")
        if not self.input_grad:
            return None, None
        d_u = p_norm_backward(d_y.squeeze(-1) if self.keepdim else d_y, u, length, p)
        del saved, u  # so that memory falls before the second gradient is made
        return d_u.sum_to_size(shape1), (-d_u).sum_to_size(shape2)

    def tangent(
        self,
        t_input: tuple[Tensor | None, Tensor | None] | None,
        saved: Saved,
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor | None, Tensor | None]:
        u, length, *_, p = saved
        both = moved(t_input, u.shape)
        if both is None:
            return None, None
        t_u = both[0] - both[1]
        t_length = p_norm_tangent(t_u, u, length, p)
        return t_length.unsqueeze(-1) if self.keepdim else t_length, t_u

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, saved: Saved, t_u: Tensor | None, along: Directions
    ) -> tuple[Any, Any]:
        d_input, t_d_input = backward_of_both(self, d_y, t_d_y, saved, t_u, along)
        if t_u is None or not self.input_grad:
            return d_input, t_d_input
        u, length, shape1, shape2, p = saved
        bend = p_norm_bend(d_y.squeeze(-1) if self.keepdim else d_y, t_u, u, length, p)
        t_d_x1, t_d_x2 = t_d_input
        return d_input, (t_d_x1 + bend.sum_to_size(shape1), t_d_x2 - bend.sum_to_size(shape2))
