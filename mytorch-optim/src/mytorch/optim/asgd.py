"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from torch import Tensor

from mytorch.optim._blocks import Elementwise
from mytorch.optim._formula import begun, descend, held_number, lerp_, number, rate, write_number
from mytorch.optim.checks import require_at_least_0, require_flags, require_setting


class ASGD(Elementwise):
    """Stochastic gradient descent by falling steps, which keeps the average of the values beside.

    Step:      g = d_p + weight_decay * p            (-d_p with maximize)
               p = (1 - lambd * eta) * p - eta * g
               a = a + mu * (p - a)                  the average of the values after step t0
               eta = lr / (1 + lambd * lr * t)^alpha
               mu = 1 / max(1, t - t0)
               at the t-th step of p; a starts at 0, eta at lr, mu at 1
    Settings:  lr may be a tensor of one number; a new lr counts from the step after the next, since eta and mu are
               those that the step before computed
    State:     step (t), eta, mu, ax (a), as torch names them. Nothing reads the average: copy it into the values
    Raises:    ArgumentError for a setting outside its range
    Source:    Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging"; Bottou 2012,
               "Stochastic gradient descent tricks", for eta

    Example:
        optimizer = ASGD(net.param(), lr=0.01, t0=100)
        optimizer.step()
        optimizer.zero_grad()
    """

    conformance: ClassVar = {"tags": ("keeps_lr",)}
    cuts: ClassVar[bool] = False
    state_entries: ClassVar = {"step": "number", "eta": "number", "mu": "number", "ax": "value"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "maximize": maximize})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "weight_decay")
        for name in ("lambd", "alpha", "t0"):
            require_setting(self, name, group[name])
        require_flags(self, group, "maximize")

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr, lambd, alpha, t0 = rate(group), group["lambd"], group["alpha"], group["t0"]
        for state, (t, p, g, a) in zip(states, begun(values, grads, states, group, {"ax": 0.0}), strict=True):
            eta = number(held_number(state, "eta", lr, p))
            mu = number(held_number(state, "mu", 1.0, p))
            p.mul_(1 - lambd * eta)
            descend(p, eta, g)
            if isinstance(mu, float) and mu == 1:  # until t0, and a copy need not read the average
                a.copy_(p)
            else:
                lerp_(a, p, mu)
            write_number(state["eta"], lr / (1 + lambd * lr * t) ** alpha)
            write_number(state["mu"], 1 / (t - t0).clamp(min=1) if isinstance(t, Tensor) else 1 / max(1, t - t0))
