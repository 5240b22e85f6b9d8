"""Lion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from torch import Tensor

from mytorch.optim._blocks import Elementwise
from mytorch.optim._formula import begun, descend, lerp_, rate, weight_of_lerp
from mytorch.optim.checks import require_at_least_0, require_betas, require_flags


class Lion(Elementwise):
    """Steps by the sign of a moving mean of gradients, so that every element moves by lr; torch has no such class.

    Step:      p = p - lr * weight_decay * p
               g = d_p                               (-d_p with maximize)
               c = beta1 * m + (1 - beta1) * g
               p = p - lr * sign(c)
               m = beta2 * m + (1 - beta2) * g
               m starts at 0
    Settings:  lr may be a tensor of one number, and is best 3 to 10 times smaller than for AdamW, with weight_decay
               so many times larger; betas = (beta1, beta2)
    State:     step, exp_avg (m)
    Raises:    ArgumentError for a setting outside its range
    Source:    Chen et al. 2023, "Symbolic discovery of optimization algorithms"

    Example:
        optimizer = Lion(net.param(), lr=0.0001, weight_decay=0.1)
        optimizer.step()
        optimizer.zero_grad()
    """

    state_entries: ClassVar = {"step": "number", "exp_avg": "value"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "weight_decay")
        require_betas(self, group["betas"])
        require_flags(self, group, "maximize")

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr, (beta1, beta2) = rate(group), group["betas"]
        for _, p, g, m in begun(values, grads, states, group, {"exp_avg": 0.0}, decoupled=True):
            c = m.lerp(g, weight_of_lerp(1 - beta1, m))
            descend(p, lr, c.sign_())
            lerp_(m, g, 1 - beta2)
