"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Optimizer
from mytorch.optim._formula import begun, count, descend, rate
from mytorch.optim.checks import require_at_least_0, require_flags
from mytorch.plugins import is_older


class Adagrad(Optimizer):
    """Steps by the gradient over the root of the sum of all its squares.

    Step:      g = d_p + weight_decay * p            (-d_p with maximize)
               s = s + g^2
               p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)
               at the t-th step of p; s starts at initial_accumulator_value
    Settings:  lr may be a tensor of one number
    State:     step (t), sum (s), as torch names them; a parameter has none before its first gradient
    Raises:    ArgumentError for a setting outside its range
    Source:    Duchi, Hazan and Singer 2011, "Adaptive subgradient methods for online learning and stochastic
               optimization", figure 1 with diagonal matrices; lr_decay as in torch.optim.Adagrad

    Example:
        optimizer = Adagrad(net.param(), lr=0.1)
        optimizer.step()
        optimizer.zero_grad()
    """

    elementwise: ClassVar = True
    state_entries: ClassVar = {"step": "number", "sum": "value"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay, "eps": eps, "maximize": maximize}
        super().__init__(params, {**settings, "initial_accumulator_value": initial_accumulator_value})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
        require_flags(self, group, "maximize")

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr, lr_decay, eps = rate(group), group["lr_decay"], group["eps"]
        entries = {"sum": group["initial_accumulator_value"]}
        for t, p, g, s in begun(values, grads, states, group, entries):
            s.addcmul_(g, g)
            descend(p, lr / (1 + (t - 1) * lr_decay), g, s.sqrt().add_(eps))

    def fused_state(self, group: dict[str, Any]) -> tuple[str, ...] | None:  # noqa: ARG002 - under all settings
        return "step", "sum"

    def fused_update(
        self, values: list[Tensor], grads: list[Tensor], held: dict[str, list[Tensor]], group: dict[str, Any]
    ) -> None:
        lr = group["lr"]
        if isinstance(lr, Tensor) and (lr.device != values[0].device or is_older(torch.__version__, "2.13")):
            lr = lr.item()
        count(held["step"])
        torch._fused_adagrad_(
            values,
            grads,
            held["sum"],
            held["step"],
            lr=lr,
            lr_decay=group["lr_decay"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=group["maximize"],
        )
