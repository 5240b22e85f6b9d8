"""How a normalisation changes along a direction, and how its backward does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mytorch.core import Directions
from mytorch.nn.normalization._affine import Affine

Average = Callable[[Tensor], Tensor]
"""The mean over the numbers that are normalised together, in a shape that meets them."""


class Normalized(NamedTuple):
    """n = (x - mean) * r with r = 1 / sqrt(variance + eps), its change, and the change of r divided by r.

    average: None where mean and variance do not depend on x.
    shape: that in which scale and shift meet n.
    centered: whether a mean is taken away, as RMSNorm does not.
    """

    n: Tensor
    r: Tensor
    t_n: Tensor
    t_r: Tensor | float
    average: Average | None
    shape: tuple[int, ...]
    centered: bool

    @classmethod
    def of(
        cls,
        x: Tensor,
        t_x: Tensor | None,
        mean: Tensor | None,
        r: Tensor,
        average: Average | None,
        shape: tuple[int, ...],
    ) -> Normalized:
        """t_n = r * (t_x - average(t_x) - n * average(n * t_x));  t_r / r = -r * average(n * t_x)

        mean: None where none is taken away, so that average(t_x) falls out, as average(d_n) does below.
        """
        n, t_x = (x if mean is None else x - mean) * r, torch.zeros_like(x) if t_x is None else t_x
        moved = cls(n, r, r * t_x, 0.0, average, shape, mean is not None)
        if average is None:
            return moved
        along_n = average(n * t_x)
        return moved._replace(t_n=r * (moved._centered(t_x) - n * along_n), t_r=-r * along_n)

    def _centered(self, values: Tensor) -> Tensor:
        return values - self.average(values) if self.centered and self.average is not None else values

    def backward(self, d_n: Tensor, t_d_n: Tensor) -> tuple[Tensor, Tensor]:
        """d_x = r * (d_n - average(d_n) - n * average(d_n * n)), and its change, by the product rule."""
        n, r, t_n, t_r, average, *_ = self
        if average is None:
            return r * d_n, r * t_d_n
        along_n = average(d_n * n)
        d_x = r * (self._centered(d_n) - n * along_n)
        change = self._centered(t_d_n) - t_n * along_n - n * average(t_d_n * n + d_n * t_n)
        return d_x, t_r * d_x + r * change


def affine_tangent(layer: Affine, moved: Normalized, along: Directions) -> Tensor:
    """The change of y = weight * n + bias."""
    t_y = moved.t_n
    if layer.weight is not None:
        t_y = layer.weight.value.view(moved.shape) * t_y + along[layer.weight].view(moved.shape) * moved.n
    return t_y if layer.bias is None else t_y + along[layer.bias].view(moved.shape)


def affine_backward_tangent(
    layer: Any,
    d_y: Tensor,
    t_d_y: Tensor,
    saved: Any,  # noqa: ARG001 - what is needed of it moved
    moved: Normalized | None,
    along: Directions,
) -> tuple[Tensor | None, Tensor | None]:
    """The `backward_tangent` of a normalisation; moved: None of an empty batch."""
    if moved is None:
        return layer._backward_of_nothing(d_y), t_d_y if layer.input_grad else None
    d_n, t_d_n = d_y, t_d_y
    if layer.weight is not None:
        weight = layer.weight.value
        t_d_weight = (t_d_y * moved.n + d_y * moved.t_n).sum_to_size(moved.shape)
        layer.weight.accumulate(t_d_weight.reshape(weight.shape))
        d_n = weight.view(moved.shape) * d_y
        t_d_n = weight.view(moved.shape) * t_d_y + along[layer.weight].view(moved.shape) * d_y
    if layer.bias is not None:
        layer.bias.accumulate(t_d_y.sum_to_size(moved.shape).reshape(layer.bias.value.shape))
    return moved.backward(d_n, t_d_n) if layer.input_grad else (None, None)
