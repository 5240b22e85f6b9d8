"""Random zeros against overfitting."""

from __future__ import annotations

import torch
from torch import Tensor

from mytorch.core import require_floating, require_input, require_saved, require_upstream
from mytorch.nn._tangents import elementwise
from mytorch.nn.dropout._noise import Random

Saved = tuple[torch.Size, Tensor | None]
_MASK = Tensor | None


class Dropout(Random):
    """Set each number to zero with probability p, in training mode; in evaluation mode do nothing.

    Forward:   y = keep * x / (1 - p), where keep is 1 with probability 1 - p, else 0
    Backward:  d_x = keep * d_y / (1 - p)
    Shapes:    x, y: any, the same
    Raises:    ShapeError if d_y has not the shape of y;  DtypeError for whole numbers in training mode;
               ArgumentError if p is not between 0 and 1, or generator is none
    Random:    one draw a number, from `generator`, or from torch's: then the zeros are those of torch.nn.Dropout
    Source:    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting"

    Example:
        >>> Dropout(0.5).eval()(torch.tensor([1.0, 2.0]))
        tensor([1., 2.])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Saved]:
        require_input(self, x)
        if not self.training or self.p == 0 or x.numel() == 0:
            return x, (x.shape, None)
        require_floating(self, x)
        y, keep = drop(x, self.p, self.generator)
        return y, (x.shape, keep)

    def backward(self, d_y: Tensor, saved: Saved) -> Tensor | None:
        require_saved(self, saved, torch.Size, _MASK)
        shape, keep = saved
        require_upstream(self, d_y, shape, like=keep)
        if not self.input_grad:
            return None
        return d_y if keep is None else drop_backward(d_y, keep, self.p)

    tangent, backward_tangent = elementwise()


def drop(x: Tensor, p: float, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """keep * x / (1 - p), and keep, in the dtype of x, since Boolean ones take longer. x: not empty"""
    if p == 1:  # torch draws nothing either
        return torch.zeros_like(x), torch.zeros_like(x)
    keep = torch.empty_like(x).bernoulli_(1 - p, generator=generator)
    return (x * keep).mul_(1 / (1 - p)), keep


def drop_backward(d_y: Tensor, keep: Tensor, p: float) -> Tensor:
    """keep * d_y / (1 - p)"""
    return (d_y * keep).mul_(1 / (1 - p) if p < 1 else 0.0)
