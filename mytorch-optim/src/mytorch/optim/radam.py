"""RAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.optim._blocks import Elementwise
from mytorch.optim._formula import Number, average_square_, begun, descend, lerp_, rate
from mytorch.optim.checks import require_at_least_0, require_betas, require_flags


class RAdam(Elementwise):
    """Adam that divides by the root of the mean of squares only once that mean is worth something.

    Step:      g = d_p + weight_decay * p            (-d_p with maximize)
               m = beta1 * m + (1 - beta1) * g
               v = beta2 * v + (1 - beta2) * g^2
               rho_inf = 2 / (1 - beta2) - 1
               rho = rho_inf - 2 * t * beta2^t / (1 - beta2^t)   the length of the average in v
               r = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
               p = p - lr * m / (1 - beta1^t) * r * sqrt(1 - beta2^t) / (sqrt(v) + eps)    if rho > 5
               p = p - lr * m / (1 - beta1^t)                                              otherwise
               at the t-th step of p; m and v start at 0
    Settings:  lr may be a tensor of one number; betas = (beta1, beta2). decoupled_weight_decay takes
               p = p - lr * weight_decay * p first and leaves g alone
    State:     step (t), exp_avg (m), exp_avg_sq (v), as torch names them
    Raises:    ArgumentError for a setting outside its range
    Source:    Liu et al. 2020, "On the variance of the adaptive learning rate and beyond", algorithm 2, with 5 in the
               place of 4, as the authors' code and torch.optim.RAdam have it

    Example:
        optimizer = RAdam(net.param(), lr=0.001)
        optimizer.step()
        optimizer.zero_grad()
    """

    state_entries: ClassVar = {"step": "number", "exp_avg": "value", "exp_avg_sq": "value"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {**settings, "decoupled_weight_decay": decoupled_weight_decay})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "eps", "weight_decay")
        require_betas(self, group["betas"])
        require_flags(self, group, "maximize", "decoupled_weight_decay")

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr, (beta1, beta2), eps = rate(group), group["betas"], group["eps"]
        entries, decoupled = {"exp_avg": 0.0, "exp_avg_sq": 0.0}, group["decoupled_weight_decay"]
        for t, p, g, m, v in begun(values, grads, states, group, entries, decoupled):
            lerp_(m, g, 1 - beta1)
            average_square_(v, g, beta2)
            size = lr / (1 - beta1**t)
            rho, r = _rectification(beta2, t)
            if isinstance(rho, Tensor):
                factor = torch.where(rho > 5, r * (1 - beta2**t) ** 0.5 / v.sqrt().add_(eps), 1.0)
                p.sub_(size * m * factor)
            elif rho > 5:
                descend(p, size * r * (1 - beta2**t) ** 0.5, m, v.sqrt().add_(eps))
            else:
                descend(p, size, m)


def _rectification(beta2: Number, t: Number) -> tuple[Number, Number]:
    """rho and r; r means something only where rho is above 5."""
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
    if any(not isinstance(one, Tensor) and one <= 5 for one in (rho_inf, rho)):
        return rho, 1.0
    r = ((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
    return rho, r
