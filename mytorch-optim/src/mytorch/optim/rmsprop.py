"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from torch import Tensor

from mytorch.optim._blocks import Elementwise
from mytorch.optim._formula import begun, descend, rate
from mytorch.optim.checks import require_at_least_0, require_flags


class RMSprop(Elementwise):
    """Steps by the gradient over the root of the moving mean of its squares.

    Step:      g = d_p + weight_decay * p            (-d_p with maximize)
               v = alpha * v + (1 - alpha) * g^2
               a = alpha * a + (1 - alpha) * g       with centered
               s = sqrt(v) + eps                     sqrt(v - a^2) + eps with centered
               p = p - lr * g / s                    without momentum
               b = momentum * b + g / s              with momentum, and
               p = p - lr * b
               v, a and b start at 0
    Settings:  lr may be a tensor of one number
    State:     step, square_avg (v), grad_avg (a), momentum_buffer (b), as torch names them
    Raises:    ArgumentError for a setting outside its range
    Source:    Hinton 2012, "Neural networks for machine learning", lecture 6e; Graves 2013, "Generating sequences with
               recurrent neural networks", for centered; eps stands outside of the root, as in torch

    Example:
        optimizer = RMSprop(net.param(), lr=0.01, momentum=0.9)
        optimizer.step()
        optimizer.zero_grad()
    """

    state_entries: ClassVar = {
        "step": "number",
        "square_avg": "value",
        "momentum_buffer": "value",
        "grad_avg": "value",
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(params, {**settings, "centered": centered, "maximize": maximize})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "alpha", "eps", "weight_decay", "momentum")
        require_flags(self, group, "centered", "maximize")

    def kept(self, group: dict[str, Any]) -> tuple[str, ...]:
        momentum = group["momentum"]
        with_momentum = isinstance(momentum, Tensor) or momentum != 0
        optional = {"grad_avg": group["centered"], "momentum_buffer": with_momentum}
        return ("step", "square_avg", *(name for name, used in optional.items() if used))

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr, alpha, eps, momentum = rate(group), group["alpha"], group["eps"], group["momentum"]
        entries = dict.fromkeys(self.kept(group)[1:], 0.0)
        for _, p, g, v, *others in begun(values, grads, states, group, entries):
            v.mul_(alpha).addcmul_(g, g, value=1 - alpha)
            if group["centered"]:
                a = others[0].lerp_(g, 1 - alpha)
                s = v.addcmul(a, a, value=-1).sqrt_().add_(eps)
            else:
                s = v.sqrt().add_(eps)
            if "momentum_buffer" in entries:
                b = others[-1].mul_(momentum).addcdiv_(g, s)
                descend(p, lr, b)
            else:
                descend(p, lr, g, s)
