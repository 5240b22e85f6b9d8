"""LAMB."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Optimizer
from mytorch.optim._formula import Number, average_square_, begun, descend, lerp_, number, rate
from mytorch.optim.checks import require_at_least_0, require_betas, require_flags


class LAMB(Optimizer):
    """Adam whose step of each parameter is as long as lr times the parameter itself, for large batches.

    Step:      g = d_p                               (-d_p with maximize)
               m = beta1 * m + (1 - beta1) * g
               v = beta2 * v + (1 - beta2) * g^2
               u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay * p
               p = p - lr * |p| / |u| * u            p - lr * u where |p| or |u| is 0
               at the t-th step of p; m and v start at 0; |x| is the root of the sum of squares
    Settings:  lr may be a tensor of one number; betas = (beta1, beta2)
    State:     step (t), exp_avg (m), exp_avg_sq (v)
    Raises:    ArgumentError for a setting outside its range
    Source:    You et al. 2020, "Large batch optimization for deep learning: training BERT in 76 minutes", algorithm 2
               with phi(z) = z; torch has no such class

    Example:
        optimizer = LAMB(net.param(), lr=0.01, weight_decay=0.01)
        optimizer.step()
        optimizer.zero_grad()
    """

    state_entries: ClassVar = {"step": "number", "exp_avg": "value", "exp_avg_sq": "value"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
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
        without_decay = {**group, "weight_decay": 0}  # which goes into the step, and not into the gradient
        for t, p, g, m, v in begun(values, grads, states, without_decay, {"exp_avg": 0.0, "exp_avg_sq": 0.0}):
            lerp_(m, g, 1 - beta1)
            average_square_(v, g, beta2)
            denominator = (v.sqrt() / (1 - beta2**t) ** 0.5).add_(eps)
            u = (m / (1 - beta1**t)).div_(denominator)
            if group["weight_decay"] != 0:
                u = u + group["weight_decay"] * p
            descend(p, lr * _ratio(p, u), u)


def _ratio(p: Tensor, u: Tensor) -> Number:
    """|p| / |u|, or 1 where one of them is 0."""
    length, step = (number(torch.linalg.vector_norm(x)) for x in (p, u))
    if isinstance(length, Tensor) or isinstance(step, Tensor):
        known = (length * step) > 0
        return torch.where(known, length / step, torch.ones_like(step))  # type: ignore[arg-type]
    return length / step if length > 0 and step > 0 else 1.0
