"""Dropout that keeps mean 0 and variance 1, for networks of SELU."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import ShapeError
from mytorch.nn.dropout._noise import Noisy

SATURATION = 1.7580993408473766
"""What SELU approaches far below zero, times -1: scale * alpha."""


class AlphaDropout(Noisy):
    """Set each number to SELU's lowest value with probability p, in training mode, keeping mean 0 and variance 1.

    Forward:   y = a * (keep * x - (1 - keep) * s) + a * s * p, where keep is 1 with probability 1 - p, else 0,
               s = 1.758..., minus SELU's lowest value, and a = 1 / sqrt((1 - p) * (1 + p * s * s))
    Backward:  d_x = a * keep * d_y
    Shapes:    x, y: any, the same
    Raises:    ShapeError if d_y has not the shape of y;  DtypeError for whole numbers in training mode;
               ArgumentError if p is not between 0 and 1, or generator is none
    Random:    one draw a number, from `generator`, or from torch's: then the draws are those of torch.nn.AlphaDropout
    Source:    Klambauer et al. 2017, "Self-normalizing neural networks"

    Example:
        >>> AlphaDropout(0.5).eval()(torch.tensor([1.0, 2.0]))
        tensor([1., 2.])
    """

    def _drop(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return _to_saturation(x, self._kept(torch.empty_like(x)), self.p)


class FeatureAlphaDropout(Noisy):
    """Set whole channels to SELU's lowest value with probability p, in training mode, keeping mean 0 and variance 1.

    Forward:   y = a * (keep * x - (1 - keep) * s) + a * s * p, where keep is 1 with probability 1 - p, else 0, one
               for each channel of a row, and a and s are those of AlphaDropout
    Backward:  d_x = a * keep * d_y
    Shapes:    x, y: (batch, channels, ...)
    Raises:    ShapeError for fewer than 2 axes, or if d_y has not the shape of y;  DtypeError for whole numbers in
               training mode;  ArgumentError if p is not between 0 and 1, or generator is none
    Random:    one draw for each channel of a row, from `generator`, or from torch's: then the draws are those of
               torch.nn.FeatureAlphaDropout
    Source:    Klambauer et al. 2017, "Self-normalizing neural networks"; whole channels: Tompson et al. 2015,
               "Efficient object localization using convolutional networks"

    Example:
        >>> FeatureAlphaDropout(0.5).eval()(torch.tensor([[1.0, 2.0]]))
        tensor([[1., 2.]])
    """

    conformance: ClassVar[dict[str, Any]] = {"inputs": [(2, 3, 4)], "tags": ("fixed_dimensions",)}

    def _require_shape(self, x: Tensor) -> None:
        if x.dim() < 2:
            raise ShapeError(f"FeatureAlphaDropout: x must be (batch, channels, ...), got {tuple(x.shape)}")

    def _drop(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return _to_saturation(x, self._kept(x.new_empty(*x.shape[:2], *(1,) * (x.dim() - 2))), self.p)


def _to_saturation(x: Tensor, keep: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """Output, and what the upstream gradient is to be multiplied by."""
    a = 1 / math.sqrt((1 - p) * (1 + p * SATURATION**2))
    shift = (keep - 1).mul_(SATURATION * a).add_(SATURATION * a * p)
    noise = keep.mul_(a)
    return (x * noise).add_(shift), noise
