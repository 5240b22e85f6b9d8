"""What becomes of the steps of a sequence, where padding does not count."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Directions, Module, require_floating, require_saved, require_upstream
from mytorch.nn._tangents import backward_of_both
from mytorch.nn.ragged._lengths import padding_of, require_lengths

CONFORMANCE: dict[str, Any] = {"inputs": [(3, 4, 2)], "tags": ("fixed_dimensions",)}


class LastStep(Module):
    """Keep the last step of each sequence that is no padding.

    Forward:   y[b] = x[b, lengths[b] - 1]
    Backward:  d_x[b, lengths[b] - 1] = d_y[b];  0 elsewhere
    Shapes:    x: (batch, steps, ...);  y: (batch, ...);  lengths: (batch,), int64, or None if no step is padding
    Raises:    ShapeError for other shapes, or if d_y has not the shape of y;  DtypeError unless lengths are int64;
               ArgumentError for a length that is not from 1 to the number of steps
    Source:    Sutskever, Vinyals and Le 2014, "Sequence to sequence learning with neural networks", where the last
               state stands for the sequence

    `Padded` passes the lengths on.

    Example:
        >>> LastStep()(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]]), lengths=torch.tensor([3, 2]))
        tensor([3., 5.])
    """

    conformance: ClassVar[dict[str, Any]] = CONFORMANCE

    def forward(self, x: Tensor, *, lengths: Tensor | None = None) -> tuple[Tensor, tuple[torch.Size, Tensor]]:
        require_lengths(self, x, lengths)
        last = x.new_full(x.shape[:1], x.shape[1] - 1, dtype=torch.int64) if lengths is None else lengths - 1
        return _at(x, last), (x.shape, last)

    def backward(self, d_y: Tensor, saved: tuple[torch.Size, Tensor]) -> Tensor | None:
        require_saved(self, saved, torch.Size, Tensor)
        shape, last = saved
        require_upstream(self, d_y, (shape[0], *shape[2:]), like=last)
        if not self.input_grad:
            return None
        d_x = d_y.new_zeros(shape)
        d_x[torch.arange(shape[0], device=d_y.device), last] = d_y
        return d_x

    def tangent(
        self,
        t_x: Tensor | None,
        saved: tuple[torch.Size, Tensor],
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor | None, None]:
        return None if t_x is None else _at(t_x, saved[1]), None

    backward_tangent = backward_of_both


class MeanStep(Module):
    """The mean over the steps of each sequence that are no padding.

    Forward:   y[b] = (1 / lengths[b]) sum over t < lengths[b] of x[b, t]
    Backward:  d_x[b, t] = d_y[b] / lengths[b] for t < lengths[b];  0 elsewhere
    Shapes:    x: (batch, steps, ...);  y: (batch, ...);  lengths: (batch,), int64, or None if no step is padding
    Raises:    ShapeError for other shapes, or if d_y has not the shape of y;  DtypeError unless lengths are int64 and
               x is floating point;  ArgumentError for a length that is not from 1 to the number of steps
    Source:    Conneau et al. 2017, "Supervised learning of universal sentence representations from natural language
               inference data", which compares the mean of the states with their largest values

    `Padded` passes the lengths on.

    Example:
        >>> MeanStep()(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]]), lengths=torch.tensor([3, 2]))
        tensor([2.0000, 4.5000])
    """

    conformance: ClassVar[dict[str, Any]] = CONFORMANCE

    def forward(self, x: Tensor, *, lengths: Tensor | None = None) -> tuple[Tensor, tuple[torch.Size, Tensor | None]]:
        require_lengths(self, x, lengths)
        require_floating(self, x)
        if lengths is None:
            return x.mean(1), (x.shape, None)
        padding = _beside(padding_of(x, lengths), x.dim())
        y = x.masked_fill(padding, 0).sum(1) / _beside(lengths, x.dim() - 1).to(x.dtype)
        return y, (x.shape, lengths)

    def backward(self, d_y: Tensor, saved: tuple[torch.Size, Tensor | None]) -> Tensor | None:
        require_saved(self, saved, torch.Size, (Tensor, type(None)))
        shape, lengths = saved
        require_upstream(self, d_y, (shape[0], *shape[2:]), like=lengths)
        if not self.input_grad:
            return None
        if lengths is None:
            return (d_y / shape[1]).unsqueeze(1).expand(shape)
        d_x = (d_y / _beside(lengths, d_y.dim()).to(d_y.dtype)).unsqueeze(1).expand(shape)
        return d_x.masked_fill(_beside(padding_of(d_x, lengths), len(shape)), 0)

    def tangent(
        self,
        t_x: Tensor | None,
        saved: tuple[torch.Size, Tensor | None],
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor | None, None]:
        return None if t_x is None else self.forward(t_x, lengths=saved[1])[0], None

    backward_tangent = backward_of_both


def _at(x: Tensor, steps: Tensor) -> Tensor:
    """One step of each sequence."""
    return x[torch.arange(len(x), device=x.device), steps]


def _beside(values: Tensor, axes: int) -> Tensor:
    """With axes of one behind its own, so that there are as many as `axes`."""
    return values.reshape(*values.shape, *[1] * (axes - values.dim()))
