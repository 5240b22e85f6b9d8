"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Optimizer
from mytorch.optim._formula import average_square_, begun, count, descend, lerp_, rate
from mytorch.optim.checks import require_at_least_0, require_betas, require_flags


class _AdamOrAdamW(Optimizer):
    """The step of both, which differ in how weights decay."""

    elementwise: ClassVar = True
    state_entries: ClassVar = {
        "step": "number",
        "exp_avg": "value",
        "exp_avg_sq": "value",
        "max_exp_avg_sq": "value",
    }

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "eps", "weight_decay")
        require_betas(self, group["betas"])
        require_flags(self, group, "amsgrad", "maximize", "decoupled_weight_decay")

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr, (beta1, beta2), eps = rate(group), group["betas"], group["eps"]
        entries = dict.fromkeys(("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else ())), 0.0)
        decoupled = group["decoupled_weight_decay"]
        for t, p, g, m, v, *v_max in begun(values, grads, states, group, entries, decoupled):
            lerp_(m, g, 1 - beta1)
            average_square_(v, g, beta2)
            if v_max:
                v = torch.maximum(v_max[0], v, out=v_max[0])
            denominator = (v.sqrt() / (1 - beta2**t) ** 0.5).add_(eps)
            descend(p, lr / (1 - beta1**t), m, denominator)

    def fused_state(self, group: dict[str, Any]) -> tuple[str, ...] | None:
        names = ("step", "exp_avg", "exp_avg_sq")
        return (*names, "max_exp_avg_sq") if group["amsgrad"] else names

    def fused_update(
        self, values: list[Tensor], grads: list[Tensor], held: dict[str, list[Tensor]], group: dict[str, Any]
    ) -> None:
        lr, (beta1, beta2) = group["lr"], group["betas"]
        if isinstance(lr, Tensor) and lr.device != values[0].device:
            lr = lr.item()
        count(held["step"])
        kernel = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_
        kernel(
            values,
            grads,
            held["exp_avg"],
            held["exp_avg_sq"],
            held.get("max_exp_avg_sq", []),
            held["step"],
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=group["amsgrad"],
            maximize=group["maximize"],
        )


class Adam(_AdamOrAdamW):
    """Adam: steps by the mean of the gradients over the root of the mean of their squares.

    Step:      g = d_p + weight_decay * p            (-d_p with maximize)
               m = beta1 * m + (1 - beta1) * g
               v = beta2 * v + (1 - beta2) * g^2
               v_max = max(v_max, v)                 with amsgrad, and v_max for v below
               p = p - lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)
               at the t-th step of p; m, v and v_max start at 0
    Settings:  lr may be a tensor of one number; betas = (beta1, beta2). decoupled_weight_decay takes
               p = p - lr * weight_decay * p first and leaves g alone, as AdamW does
    State:     step (t), exp_avg (m), exp_avg_sq (v), max_exp_avg_sq (v_max), as torch names them
    Raises:    ArgumentError for a setting outside its range
    Source:    Kingma and Ba 2015, "Adam: a method for stochastic optimization", algorithm 1; Reddi, Kale and Kumar
               2018, "On the convergence of Adam and beyond", for amsgrad. As in torch.optim.Adam, v_max is taken of v
               before its correction

    Example:
        optimizer = Adam(net.param(), lr=0.001)
        optimizer.step()
        optimizer.zero_grad()
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        flags = {"maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, {**settings, **flags})


class AdamW(_AdamOrAdamW):
    """Adam with weight decay that is decoupled from the gradient, so that it is not divided by its size.

    Step:      p = p - lr * weight_decay * p
               g = d_p                               (-d_p with maximize)
               m = beta1 * m + (1 - beta1) * g
               v = beta2 * v + (1 - beta2) * g^2
               v_max = max(v_max, v)                 with amsgrad, and v_max for v below
               p = p - lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)
               at the t-th step of p; m, v and v_max start at 0
    Settings:  lr may be a tensor of one number; betas = (beta1, beta2)
    State:     step (t), exp_avg (m), exp_avg_sq (v), max_exp_avg_sq (v_max), as torch names them
    Raises:    ArgumentError for a setting outside its range
    Source:    Loshchilov and Hutter 2019, "Decoupled weight decay regularization", algorithm 2; the decay is
               multiplied by lr, as in torch.optim.AdamW

    Example:
        optimizer = AdamW(net.param(), lr=0.001, weight_decay=0.1)
        optimizer.step()
        optimizer.zero_grad()
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, {**settings, "maximize": maximize, "decoupled_weight_decay": True})

    def check_settings(self, group: dict[str, Any]) -> None:
        super().check_settings(group)
        if not group["decoupled_weight_decay"]:
            raise ArgumentError(
                "AdamW: decoupled_weight_decay must be True, got False; use Adam for weight decay that is added to "
                "the gradient"
            )
