"""Encodings of positions: attention treats a sequence as a set, unless its vectors say where they stand."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Module,
    ShapeError,
    require_dimensions,
    require_flags,
    require_floating,
    require_last_axis,
    require_range,
    require_saved,
    require_upstream,
    require_whole,
)
from mytorch.nn._own import require_own
from mytorch.nn._tangents import LINEAR, elementwise


def angles(length: int, dim: int, base: float, like: Tensor) -> Tensor:
    """position * base ** (-2 * i / dim) for each position and i < dim / 2, at least in float32: (length, dim / 2)."""
    dtype = like.dtype if like.dtype is torch.float64 else torch.float32  # half precision cannot count beyond 256
    rates = base ** (-torch.arange(0, dim, 2, device=like.device, dtype=dtype) / dim)
    return torch.outer(torch.arange(length, device=like.device, dtype=dtype), rates)


class SinusoidalPositionalEncoding(Module):
    """Add to each vector sines and cosines of its position, from quick ones to such as barely move.

    Forward:   y = x + p, where p[position, 2 * i] = sin(angle), p[position, 2 * i + 1] = cos(angle)
               and angle = position / 10000 ** (2 * i / d_model)
    Backward:  d_x = d_y: p is the same for every x
    Shapes:    x, y: (length, batch, d_model), with batch_first (batch, length, d_model), or (length, d_model)
    Raises:    ShapeError for other shapes;  DtypeError for whole numbers, such as what Embedding takes;
               ArgumentError if d_model is no whole number of at least 1
    Source:    Vaswani et al. 2017, "Attention is all you need", section 3.5

    Any length will do. A learned encoding is an Embedding of the positions.

    Example:
        >>> SinusoidalPositionalEncoding(4)(torch.zeros(2, 4))
        tensor([[0.0000, 1.0000, 0.0000, 1.0000],
                [0.8415, 0.5403, 0.0100, 0.9999]])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"d_model": 5},
        "inputs": [(3, 2, 5)],
        "tags": ("sequence_first", "fixed_dimensions"),
    }

    def __init__(self, d_model: int, batch_first: bool = False) -> None:
        require_flags(self, batch_first=batch_first)
        require_whole(self, "d_model", d_model, 1)
        self.d_model, self.batch_first = d_model, batch_first

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        require_floating(self, x)
        require_dimensions(self, x, 2, 3)
        require_last_axis(self, x, self.d_model)
        length = x.shape[-2] if self.batch_first or x.dim() == 2 else x.shape[0]
        angle = angles(length, self.d_model, 10000.0, x)
        p = torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, : self.d_model].to(x.dtype)
        return x + (p if self.batch_first or x.dim() == 2 else p.unsqueeze(1)), x.shape

    def backward(self, d_y: Tensor, shape: torch.Size) -> Tensor | None:
        require_saved(self, shape, torch.Size)
        require_upstream(self, d_y, shape)
        return d_y if self.input_grad else None

    tangent, backward_tangent = elementwise()


class RotaryPositionalEncoding(Module):
    """Turn each pair of numbers by an angle in proportion to the position, from quick pairs to such as barely move.

    Forward:   y[2 * i] = a * cos(angle) - b * sin(angle);  y[2 * i + 1] = a * sin(angle) + b * cos(angle)
               where a = x[2 * i], b = x[2 * i + 1], angle = position / base ** (2 * i / dim)
    Backward:  the rotation by -angle, since the inverse of a rotation is its transpose
               d_x[2 * i] = d_a * cos(angle) + d_b * sin(angle);  d_x[2 * i + 1] = d_b * cos(angle) - d_a * sin(angle)
               where d_a = d_y[2 * i], d_b = d_y[2 * i + 1]
    Shapes:    x, y: (..., length, dim), such as queries and keys of (batch, heads, length, head_dim)
    Raises:    ShapeError for other shapes;  DtypeError for whole numbers;  ArgumentError if dim is not even, or
               base is not above 0
    Source:    Su et al. 2021, "RoFormer: enhanced transformer with rotary position embedding"

    Queries and keys that are turned have products that depend on the distance between their positions alone.

    Example:
        >>> RotaryPositionalEncoding(2)(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        tensor([[1.0000, 0.0000],
                [0.5403, 0.8415]])
    """

    conformance: ClassVar[dict[str, Any]] = {"arguments": {"dim": 4}, "inputs": [(2, 3, 4)]}

    def __init__(self, dim: int, base: float = 10000.0) -> None:
        require_whole(self, "dim", dim, 2)
        if dim % 2:
            raise ArgumentError(
                f"RotaryPositionalEncoding: dim must be even, since pairs of numbers are rotated, got {dim}"
            )
        require_range(self, "base", base, 0)
        if base == 0:
            raise ArgumentError("RotaryPositionalEncoding: base must be above 0, got 0")
        self.dim, self.base = dim, base

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        require_floating(self, x)
        require_last_axis(self, x, self.dim)
        if x.dim() < 2:
            raise ShapeError(f"RotaryPositionalEncoding: x must be (..., length, {self.dim}), got {tuple(x.shape)}")
        return self._turned(x, 1), x.shape

    def backward(self, d_y: Tensor, shape: torch.Size) -> Tensor | None:
        require_saved(self, shape, torch.Size)
        require_own(self, "dim", self.dim, shape[-1])
        require_upstream(self, d_y, shape)
        return self._turned(d_y, -1) if self.input_grad else None

    tangent, backward_tangent = LINEAR

    def _turned(self, x: Tensor, sign: int) -> Tensor:
        """Each pair turned by sign * angle."""
        angle = sign * angles(x.shape[-2], self.dim, self.base, x)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)
