"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core import ArgumentError
from mytorch.optim._blocks import Elementwise
from mytorch.optim._formula import begun, descend, rate
from mytorch.optim.checks import require_at_least_0, require_flags


class Adadelta(Elementwise):
    """Steps by the gradient times the ratio of the root mean squares of past steps and of gradients.

    Step:      g = d_p + weight_decay * p            (-d_p with maximize)
               v = rho * v + (1 - rho) * g^2
               d = sqrt(u + eps) / sqrt(v + eps) * g
               u = rho * u + (1 - rho) * d^2
               p = p - lr * d
               v and u start at 0
    Settings:  lr may be a tensor of one number
    State:     step, square_avg (v), acc_delta (u), as torch names them
    Raises:    ArgumentError for a setting outside its range
    Source:    Zeiler 2012, "ADADELTA: an adaptive learning rate method", algorithm 1, which has no lr

    Example:
        optimizer = Adadelta(net.param())
        optimizer.step()
        optimizer.zero_grad()
    """

    state_entries: ClassVar = {"step": "number", "square_avg": "value", "acc_delta": "value"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, settings)

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "rho", "eps", "weight_decay")
        if group["rho"] > 1:
            raise ArgumentError(f"Adadelta: rho must be between 0 and 1, got {group['rho']}")
        require_flags(self, group, "maximize")

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr, rho, eps = rate(group), group["rho"], group["eps"]
        for _, p, g, v, u in begun(values, grads, states, group, {"square_avg": 0.0, "acc_delta": 0.0}):
            v.mul_(rho).addcmul_(g, g, value=1 - rho)
            d = u.add(eps).sqrt_().div_(v.add(eps).sqrt_()).mul_(g)
            u.mul_(rho).addcmul_(d, d, value=1 - rho)
            descend(p, lr, d)
