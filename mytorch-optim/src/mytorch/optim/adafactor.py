"""Adafactor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Optimizer, persistent
from mytorch.optim._formula import Number, descend, larger, lerp_, next_steps, number, rate, smaller
from mytorch.optim.checks import (
    require_at_least_0,
    require_flags,
    require_pair_of_numbers,
    require_real,
    require_setting,
)


class Adafactor(Optimizer):
    """Adam without momentum that keeps of a matrix of squares only the means of its rows and columns.

    Step:      g = d_p                               (-d_p with maximize)
               rho = min(lr, 1 / sqrt(t));  alpha = max(eps2, rms(p)) * rho
               p = p - lr * weight_decay * p
               w = t^beta2_decay
               r = (1 - w) * r + w * mean(g^2) over the last axis            where p has two axes or more
               c = (1 - w) * c + w * mean(g^2) over the last axis but one
               v = r c / max(mean(r), eps1)
               v = (1 - w) * v + w * g^2                                     where it has fewer
               u = g / sqrt(max(v, eps1^2))
               p = p - alpha * u / max(1, rms(u) / d)
               at the t-th step of p, with rms(x) = sqrt(mean(x^2)); r, c and v start at 0
    Settings:  lr may be a tensor of one number, and is only the upper bound of the relative step rho;
               eps = (eps1, eps2), of which eps1 None is the smallest difference from 1 of the value's dtype
    State:     step (t), row_var (r), col_var (c), variance (v), as torch names them
    Raises:    ArgumentError for a setting outside its range and for complex parameters
    Source:    Shazeer and Stern 2018, "Adafactor: adaptive learning rates with sublinear memory cost", algorithms 4
               and 5; eps1 bounds v from below as in torch.optim.Adafactor, where the paper adds it to g^2

    Example:
        optimizer = Adafactor(net.param(), lr=0.01)
        optimizer.step()
        optimizer.zero_grad()
    """

    state_entries: ClassVar = {"step": "number", "row_var": "rows", "col_var": "columns", "variance": "value"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "maximize": maximize})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "weight_decay")
        require_setting(self, "beta2_decay", group["beta2_decay"])
        if group["beta2_decay"] > 0:
            raise ArgumentError(f"Adafactor: beta2_decay must be at most 0, got {group['beta2_decay']}")
        require_setting(self, "d", group["d"], 1.0)
        eps = group["eps"]
        known = isinstance(eps, (tuple, list)) and len(eps) == 2 and eps[0] is None
        for value in require_pair_of_numbers(self, "eps", (0.0, eps[1]) if known else eps):
            if value < 0:
                raise ArgumentError(f"Adafactor: eps must be two numbers of at least 0, got {eps}")
        require_flags(self, group, "maximize")
        require_real(self, group["params"])

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr, (eps1, eps2) = rate(group), group["eps"]
        counts = next_steps(states, values)
        for t, p, g, state in zip(counts, values, grads, states, strict=True):
            g = -g if group["maximize"] else g
            floor = torch.finfo(p.dtype).eps if eps1 is None else eps1
            alpha = larger(_rms(p), eps2) * smaller(lr, t**-0.5)
            if group["weight_decay"] != 0:
                p.mul_(1 - lr * group["weight_decay"])
            w = t ** group["beta2_decay"]
            v = _mean_square(state, g, w) if g.dim() < 2 else _outer_mean_square(state, g, w, floor)
            u = v.clamp(min=floor * floor).rsqrt_().mul_(g)
            descend(p, alpha / larger(_rms(u) / group["d"], 1), u)


def _rms(x: Tensor) -> Number:
    return number(torch.linalg.vector_norm(x)) / math.sqrt(max(x.numel(), 1))


def _mean_square(state: dict[str, Any], g: Tensor, w: Number) -> Tensor:
    if "variance" not in state:
        state["variance"] = persistent(torch.zeros_like(g))
    return lerp_(state["variance"], g * g, w)


def _outer_mean_square(state: dict[str, Any], g: Tensor, w: Number, floor: float) -> Tensor:
    squares = g.square()
    means: Sequence[Tensor] = [squares.mean(axis, keepdim=True) for axis in (-1, -2)]
    for name, mean in zip(("row_var", "col_var"), means, strict=True):
        if name not in state:
            state[name] = persistent(torch.zeros_like(mean))
    r, c = (lerp_(state[name], mean, w) for name, mean in zip(("row_var", "col_var"), means, strict=True))
    return (r @ c).div_(r.mean(-2, keepdim=True).clamp(min=floor))
