"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from torch import Tensor

from mytorch.optim._blocks import Elementwise
from mytorch.optim._formula import average_square_, begun, descend, held_number, lerp_, number, rate
from mytorch.optim.checks import require_at_least_0, require_betas, require_flags


class NAdam(Elementwise):
    """Adam with Nesterov's momentum, which grows from about beta1 / 2 to beta1.

    Step:      g = d_p + weight_decay * p            (-d_p with maximize)
               mu(t) = beta1 * (1 - 0.96^(t * momentum_decay) / 2)
               M = M * mu(t)                         the product of all mu so far
               m = beta1 * m + (1 - beta1) * g
               v = beta2 * v + (1 - beta2) * g^2
               s = sqrt(v / (1 - beta2^t)) + eps
               p = p - lr * (1 - mu(t)) / (1 - M) * g / s - lr * mu(t + 1) / (1 - M * mu(t + 1)) * m / s
               at the t-th step of p; m and v start at 0, M at 1
    Settings:  lr may be a tensor of one number; betas = (beta1, beta2). decoupled_weight_decay takes
               p = p - lr * weight_decay * p first and leaves g alone
    State:     step (t), exp_avg (m), exp_avg_sq (v), mu_product (M), as torch names them
    Raises:    ArgumentError for a setting outside its range
    Source:    Dozat 2016, "Incorporating Nesterov momentum into Adam"; 0.96 is his constant

    Example:
        optimizer = NAdam(net.param(), lr=0.002)
        optimizer.step()
        optimizer.zero_grad()
    """

    state_entries: ClassVar = {"step": "number", "mu_product": "number", "exp_avg": "value", "exp_avg_sq": "value"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        decays = {"momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, {**settings, **decays})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "eps", "weight_decay", "momentum_decay")
        require_betas(self, group["betas"])
        require_flags(self, group, "maximize", "decoupled_weight_decay")

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr, (beta1, beta2), eps, decay = rate(group), group["betas"], group["eps"], group["momentum_decay"]
        steps = begun(
            values, grads, states, group, {"exp_avg": 0.0, "exp_avg_sq": 0.0}, group["decoupled_weight_decay"]
        )
        for state, (t, p, g, m, v) in zip(states, steps, strict=True):
            mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (step * decay)) for step in (t, t + 1))
            product = number(held_number(state, "mu_product", 1.0, p).mul_(mu))
            lerp_(m, g, 1 - beta1)
            average_square_(v, g, beta2)
            s = v.div(1 - beta2**t).sqrt_().add_(eps)
            descend(p, lr * (1 - mu) / (1 - product), g, s)
            descend(p, lr * mu_next / (1 - product * mu_next), m, s)
