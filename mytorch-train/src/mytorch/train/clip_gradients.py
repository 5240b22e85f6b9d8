"""Clipping gradients by their joint norm, or number by number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Optimizer, require_kind
from mytorch.core.compiling import is_compiling
from mytorch.plugins import shown

Norm = Callable[[list[Tensor]], Tensor]
"""The 2-norm of gradients together: of these, or of those of several processes, each of which calls it."""


def clip_gradients(optimizer: Optimizer, max_norm: float, norm: Norm | None = None) -> None:
    """Scale all gradients that the optimizer would use by one factor, so that their norm is at most `max_norm`.

    Formula:  norm = sqrt(sum of d^2 over all gradients);  d = d * min(1, max_norm / (norm + 1e-6))
    norm:     of the gradients; by default, the norm of the gradients that this process has
    Source:   Pascanu et al. 2013, "On the difficulty of training recurrent neural networks", in the form of
              torch.nn.utils.clip_grad_norm_
    Raises:   ArgumentError for what is no optimizer, and unless max_norm is a number above 0
    """
    require_kind("clip_gradients", "optimizer", optimizer, Optimizer)
    require_bound("clip_gradients: max_norm", max_norm)
    grads = gradients_of(optimizer)
    length = joint_or(norm, grads)
    if grads:
        torch._foreach_mul_(grads, (max_norm / (length + 1e-6)).clamp(max=1.0))


def joint_or(norm: Norm | None, grads: list[Tensor]) -> Tensor:
    """The norm of gradients by a function that all processes call, or of those of this process; 0 of none."""
    if norm is not None:
        return norm(grads)
    return joint_norm(grads) if grads else torch.zeros(())


def joint_norm(grads: list[Tensor]) -> Tensor:
    """The 2-norm of all gradients together."""
    traced = is_compiling()  # machine code comes of the formula only
    norms = [torch.linalg.vector_norm(d) for d in grads] if traced else torch._foreach_norm(grads)
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm


def clip_gradient_values(optimizer: Optimizer, max_value: float) -> None:
    """Clip every number of the gradients that the optimizer would use to the range from -max_value to max_value.

    Formula:  d = max(-max_value, min(d, max_value)), as torch.nn.utils.clip_grad_value_
    Raises:   ArgumentError for what is no optimizer, and unless max_value is a number above 0
    """
    require_kind("clip_gradient_values", "optimizer", optimizer, Optimizer)
    require_bound("clip_gradient_values: max_value", max_value)
    clip_values(gradients_of(optimizer), max_value)


def clip_values(grads: list[Tensor], max_value: float) -> None:
    """Bring every number of these gradients into the range, in place."""
    if grads:
        torch._foreach_clamp_min_(grads, -max_value)
        torch._foreach_clamp_max_(grads, max_value)


def gradients_of(optimizer: Optimizer) -> list[Tensor]:
    """The gradients that the optimizer would use."""
    groups = optimizer.param_groups
    return [p.grad for group in groups for p in group["params"] if p.grad is not None and p.trainable]


def require_bound(name: str, bound: Any) -> None:
    """Raise ArgumentError unless gradients can be brought within `bound`; infinity changes none."""
    if not (type(bound) in (int, float) and bound > 0):
        raise ArgumentError(f"{name} must be a number above 0, got {shown(bound)}")
