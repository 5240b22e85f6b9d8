"""The bilinear layer."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import init

from mytorch.core import (
    Directions,
    EachSample,
    Module,
    OuterProducts,
    Parameter,
    SampleGradients,
    ShapeError,
    empty,
    require_device,
    require_flags,
    require_floating_dtype,
    require_last_axis,
    require_like,
    require_room,
    require_saved,
    require_upstream,
    require_whole,
    rows_of_samples,
)
from mytorch.core.compiling import is_compiling
from mytorch.nn._own import require_own

BETWEEN = 2**16
"""How many products of a number of input1 with an output there are at once, about."""


class Bilinear(Module):
    """Combine pairs of vectors, each number of the one with each of the other, and add a bias.

    Forward:   y[k] = sum over i and j of input1[i] * weight[k, i, j] * input2[j], + bias[k]
    Backward:  d_input1[i] = sum over k and j of d_y[k] * weight[k, i, j] * input2[j];
               d_input2[j] = sum over k and i of d_y[k] * input1[i] * weight[k, i, j];
               d_weight[k, i, j] = sum of d_y[k] * input1[i] * input2[j];  d_bias = sum of d_y: sums over the batch
    Shapes:    input1: (..., in1_features);  input2: (..., in2_features);  y: (..., out_features);
               weight: (out_features, in1_features, in2_features);  bias: (out_features,), or None without it
    Raises:    ShapeError if a last axis is not what it must be, if the other axes of input1 and input2 differ, or if
               d_y has not the shape of y;  DtypeError for inputs of another dtype than weight;
               ArgumentError for sizes that are no whole numbers of at least 0, in1_features of at least 1, or a dtype
               that is not floating point, or for weights or a y that have no room in memory
    Initial:   weight and bias uniform within 1 / sqrt(in1_features)
    Source:    Tenenbaum and Freeman 2000, "Separating style and content with bilinear models"

    Example:
        >>> Bilinear(2, 3, 4)(torch.zeros(5, 2), torch.zeros(5, 3)).shape
        torch.Size([5, 4])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"in1_features": 2, "in2_features": 3, "out_features": 4},
        "inputs": [(5, 2), (5, 3)],
    }

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, bias=bias)
        require_whole(self, "in1_features", in1_features, 1)
        require_whole(self, "in2_features", in2_features)
        require_whole(self, "out_features", out_features)
        require_device(self, device)
        require_floating_dtype(self, dtype)
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(empty(self, "weight", (out_features, in1_features, in2_features), device, dtype))
        self.bias = Parameter(empty(self, "bias", (out_features,), device, dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights from torch's generator, or from the one given."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight.value, -bound, bound, generator=generator)
        if self.bias is not None:
            init.uniform_(self.bias.value, -bound, bound, generator=generator)

    def forward(self, input1: Tensor, input2: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        require_last_axis(self, input1, self.in1_features, "input1")
        require_last_axis(self, input2, self.in2_features, "input2")
        if input1.shape[:-1] != input2.shape[:-1]:
            raise ShapeError(
                f"Bilinear: input2 must have the axes of input1 before the last, {tuple(input1.shape[:-1])}, "
                f"got {tuple(input2.shape[:-1])}"
            )
        weight = self.weight.value
        require_like(self, input1, weight, "input1")
        require_like(self, input2, weight, "input2")
        shape = (*input1.shape[:-1], self.out_features)
        require_room(self, "y", shape, input1, "pass fewer rows")
        rows1, rows2 = _rows(input1), _rows(input2)
        parts = [_seen_by(rows2, some) @ rows1.unsqueeze(2) for some in weight.split(self._together(rows1))]
        y = torch.cat(parts, 1).squeeze(2)
        if self.bias is not None:
            y = y + self.bias.value
        return y.reshape(shape), (input1, input2)

    def backward(self, d_y: Tensor, saved: tuple[Tensor, Tensor]) -> tuple[Tensor | None, Tensor | None]:
        require_saved(self, saved, Tensor, Tensor)
        input1, input2 = saved
        sizes = (self.in1_features, self.in2_features)
        require_own(self, "in1_features and in2_features", sizes, (input1.shape[-1], input2.shape[-1]))
        require_upstream(self, d_y, (*input1.shape[:-1], self.out_features))
        weight = self.weight.value
        require_like(self, d_y, weight, "d_y")
        rows1, rows2, d_rows = _rows(input1), _rows(input2), _rows(d_y)
        d_input1, d_input2, d_weight = torch.zeros_like(rows1), torch.zeros_like(rows2), []
        together = self._together(rows1)
        for some, d_some in zip(weight.split(together), d_rows.split(together, 1), strict=True):
            outer = (d_some.unsqueeze(2) * rows1.unsqueeze(1)).flatten(1)
            if self.weight.trainable:
                d_weight.append((outer.t() @ rows2).view_as(some))
            if self.input_grad:
                d_input1 += (d_some.unsqueeze(1) @ _seen_by(rows2, some)).squeeze(1)
                d_input2.addmm_(outer, some.flatten(0, 1))
        if d_weight:
            self.weight.accumulate(torch.cat(d_weight))
        if self.bias is not None and self.bias.trainable:
            self.bias.accumulate(d_rows.sum(0))
        if not self.input_grad:
            return None, None
        return d_input1.reshape(input1.shape), d_input2.reshape(input2.shape)

    def tangent(
        self,
        t_input: tuple[Tensor | None, Tensor | None] | None,
        saved: tuple[Tensor, Tensor],
        along: Directions,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        rows1, rows2 = map(_rows, saved)
        t_rows1, t_rows2 = (
            torch.zeros_like(rows) if t is None else _rows(t)
            for t, rows in zip(t_input or (None, None), (rows1, rows2), strict=True)
        )
        together, parts = self._together(rows1), []
        splits = self.weight.value.split(together), along[self.weight].split(together)
        for some, t_some in zip(*splits, strict=True):
            seen, t_seen = _seen_by(rows2, some), _seen_by(t_rows2, some) + _seen_by(rows2, t_some)
            parts.append(t_seen @ rows1.unsqueeze(2) + seen @ t_rows1.unsqueeze(2))
        t_y = torch.cat(parts, 1).squeeze(2)
        if self.bias is not None:
            t_y = t_y + along[self.bias]
        return t_y.reshape(*saved[0].shape[:-1], self.out_features), (t_rows1, t_rows2)

    def backward_tangent(
        self,
        d_y: Tensor,
        t_d_y: Tensor,
        saved: tuple[Tensor, Tensor],
        t_saved: tuple[Tensor, Tensor],
        along: Directions,
    ) -> tuple[tuple[Tensor | None, Tensor | None], tuple[Tensor | None, Tensor | None]]:
        (rows1, rows2), (t_rows1, t_rows2) = map(_rows, saved), t_saved
        d_rows, t_d_rows, t_d_weight = _rows(d_y), _rows(t_d_y), []
        d_input1, t_d_input1 = torch.zeros_like(rows1), torch.zeros_like(rows1)
        d_input2, t_d_input2 = torch.zeros_like(rows2), torch.zeros_like(rows2)
        together = self._together(rows1)
        splits = self.weight.value.split(together), along[self.weight].split(together)
        d_splits = d_rows.split(together, 1), t_d_rows.split(together, 1)
        for some, t_some, d_some, t_d_some in zip(*splits, *d_splits, strict=True):
            d, t_d = d_some.unsqueeze(2), t_d_some.unsqueeze(2)
            outer = (d * rows1.unsqueeze(1)).flatten(1)
            t_outer = (t_d * rows1.unsqueeze(1) + d * t_rows1.unsqueeze(1)).flatten(1)
            t_d_weight.append((t_outer.t() @ rows2 + outer.t() @ t_rows2).view_as(some))
            if self.input_grad:
                seen, t_seen = _seen_by(rows2, some), _seen_by(t_rows2, some) + _seen_by(rows2, t_some)
                d_input1 += (d.mT @ seen).squeeze(1)
                t_d_input1 += (t_d.mT @ seen + d.mT @ t_seen).squeeze(1)
                d_input2.addmm_(outer, some.flatten(0, 1))
                t_d_input2.addmm_(t_outer, some.flatten(0, 1)).addmm_(outer, t_some.flatten(0, 1))
        self.weight.accumulate(torch.cat(t_d_weight))
        if self.bias is not None:
            self.bias.accumulate(t_d_rows.sum(0))
        if not self.input_grad:
            return (None, None), (None, None)
        shape1, shape2 = saved[0].shape, saved[1].shape
        d_input = d_input1.reshape(shape1), d_input2.reshape(shape2)
        return d_input, (t_d_input1.reshape(shape1), t_d_input2.reshape(shape2))

    def sample_gradients(self, d_y: Tensor, saved: tuple[Tensor, Tensor], axis: int) -> dict[str, SampleGradients]:
        rows1, rows2, d_rows = (rows_of_samples(each, axis) for each in (*saved, d_y))
        outer = (d_rows.unsqueeze(-1) * rows1.unsqueeze(-2)).flatten(-2)
        stated: dict[str, SampleGradients] = {"weight": OuterProducts(outer, rows2, tuple(self.weight.value.shape))}
        return stated if self.bias is None else {**stated, "bias": EachSample(d_rows.sum(1))}

    def _together(self, rows1: Tensor) -> int:
        """How many outputs are computed at once: at most a quarter, so that their products take little memory."""
        if is_compiling():  # a compiler plans memory by itself, and may leave the number of rows open
            return max(1, self.out_features)
        return max(1, min(self.out_features // 4, BETWEEN // max(1, rows1.numel())))


def _seen_by(rows2: Tensor, weight: Tensor) -> Tensor:
    """What some outputs give to each number of input1, weight[k, i] @ input2: (rows, outputs, in1_features)."""
    return (rows2 @ weight.flatten(0, 1).t()).view(rows2.shape[0], *weight.shape[:2])


def _rows(x: Tensor) -> Tensor:
    """All axes but the last as one; so is none at all."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
