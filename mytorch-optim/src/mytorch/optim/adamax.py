"""Adamax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.optim._blocks import Elementwise
from mytorch.optim._formula import begun, descend, lerp_, rate
from mytorch.optim.checks import require_at_least_0, require_betas, require_flags


class Adamax(Elementwise):
    """Adam with the largest gradient, which fades, where Adam has the root of the mean of squares.

    Step:      g = d_p + weight_decay * p            (-d_p with maximize)
               m = beta1 * m + (1 - beta1) * g
               u = max(beta2 * u, |g| + eps)
               p = p - lr / (1 - beta1^t) * m / u
               at the t-th step of p; m and u start at 0
    Settings:  lr may be a tensor of one number; betas = (beta1, beta2)
    State:     step (t), exp_avg (m), exp_inf (u), as torch names them
    Raises:    ArgumentError for a setting outside its range
    Source:    Kingma and Ba 2015, "Adam: a method for stochastic optimization", algorithm 2, which has no eps

    Example:
        optimizer = Adamax(net.param(), lr=0.002)
        optimizer.step()
        optimizer.zero_grad()
    """

    state_entries: ClassVar = {"step": "number", "exp_avg": "value", "exp_inf": "value"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, settings)

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "eps", "weight_decay")
        require_betas(self, group["betas"])
        require_flags(self, group, "maximize")

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr, (beta1, beta2), eps = rate(group), group["betas"], group["eps"]
        for t, p, g, m, u in begun(values, grads, states, group, {"exp_avg": 0.0, "exp_inf": 0.0}):
            lerp_(m, g, 1 - beta1)
            torch.maximum(u.mul_(beta2), g.abs().add_(eps), out=u)
            descend(p, lr / (1 - beta1**t), m, u)
