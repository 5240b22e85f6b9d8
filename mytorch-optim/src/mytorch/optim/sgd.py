"""Stochastic gradient descent."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling

from mytorch.core import ArgumentError, Optimizer, Parameter, persistent, require_range

_is_contiguous = Tensor.is_contiguous
VELOCITY = "momentum_buffer"  # torch's name, so that state dicts exchange


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked for.

    Step:      g = d_p + weight_decay * p            (-d_p with maximize)
               v = g                                 at the first step of p
               v = momentum * v + (1 - dampening) * g   at later ones
               p = p - lr * v                        g without momentum; g + momentum * v with nesterov
    Settings:  lr may be a tensor of one number, momentum a 0-dim one: changing its value recompiles nothing
    Raises:    ArgumentError for a setting outside its range
    Source:    Sutskever et al., On the importance of initialization and momentum in deep learning (2013), for
               nesterov; the velocity leaves lr out and starts at g, as in torch.optim.SGD
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float | Tensor = 1e-3,
        momentum: float | Tensor = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        self._suited: dict[int, bool] = {}
        super().__init__(params, {**settings, "nesterov": nesterov, "maximize": maximize})

    def check_settings(self, group: dict[str, Any]) -> None:
        if isinstance(group["lr"], Tensor) and group["lr"].numel() != 1:
            raise ArgumentError(f"SGD: lr must be one number, got a tensor of {tuple(group['lr'].shape)}")
        for name in ("lr", "momentum", "weight_decay"):
            require_range("SGD", name, group[name], 0.0)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ArgumentError(
                "SGD: nesterov must come with momentum above 0 and dampening 0, "
                f"got momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def update(self, parameters: list[Parameter], group: dict[str, Any]) -> None:
        grads: list[Any] = [p.grad for p in parameters]
        suited = False if is_compiling() else self._suited.get(id(group))
        if suited is None:  # values and velocities are judged when they are new
            suited = self._suited[id(group)] = _suited(group, self.state)
        if not (suited and isinstance(group["momentum"], (float, int)) and all(map(_is_contiguous, grads))):
            self._follow_formula(parameters, group)
        elif group["momentum"] == 0:
            _run_kernel(self.values_of(group), grads, [], group)
        else:
            state = self.state
            try:
                velocities = [state[p][VELOCITY] for p in parameters]
            except KeyError:
                self._begin(parameters, group)
            else:
                _run_kernel(self.values_of(group), grads, velocities, group)

    def _begin(self, parameters: list[Parameter], group: dict[str, Any]) -> None:
        """Update where some parameters, or all, see their first step."""
        first = [p for p in parameters if VELOCITY not in self.state[p]]
        later = [p for p in parameters if p not in first]
        for parameter in first:
            self.state[parameter][VELOCITY] = persistent(parameter.value)  # a place that the kernel fills
        for some in filter(None, (first, later)):
            values, velocities = [p.value for p in some], [self.state[p][VELOCITY] for p in some]
            _run_kernel(values, [p.grad for p in some], velocities, group, is_first_step=some is first)

    def _follow(self, parameters: list[Parameter]) -> None:
        super()._follow(parameters)
        self._suited.clear()

    def _follow_formula(self, parameters: list[Parameter], group: dict[str, Any]) -> None:
        momentum = group["momentum"]
        for parameter in parameters:
            value, g, state = parameter.value, parameter.grad, self.state[parameter]
            assert g is not None
            if group["maximize"]:
                g = -g
            if group["weight_decay"] != 0:
                g = g + group["weight_decay"] * value
            if isinstance(momentum, Tensor) or momentum != 0:
                if VELOCITY not in state:
                    state[VELOCITY] = persistent(g)
                else:
                    state[VELOCITY].mul_(momentum).add_(g, alpha=1 - group["dampening"])
                g = g + momentum * state[VELOCITY] if group["nesterov"] else state[VELOCITY]
            value.sub_(group["lr"] * g)


def _suited(group: dict[str, Any], state: Mapping[Parameter, dict[str, Any]]) -> bool:
    """Whether a group's values and velocities are contiguous, on one device and of one dtype that the kernel knows.

    It walks through memory and sees no strides. Gradients of another dtype it refuses itself.
    Not of half precision: torch 2.13's kernel for the CPU leaves most of a longer tensor as it was. On a GPU it takes
    no lr that is a tensor on the CPU.
    """
    values = [p.value for p in group["params"]]
    held = [state[p][VELOCITY] for p in group["params"] if p in state and VELOCITY in state[p]]
    kinds = {(tensor.dtype, tensor.device, tensor.is_contiguous()) for tensor in values + held}
    dtype, device, contiguous = kinds.pop()
    known = dtype in (torch.float32, torch.float64) and device.type in ("cpu", "cuda")
    return not kinds and known and contiguous and (device.type == "cpu" or not isinstance(group["lr"], Tensor))


def _run_kernel(
    values: list[Tensor],
    grads: list[Any],
    velocities: list[Tensor],
    group: dict[str, Any],
    is_first_step: bool = False,
) -> None:
    """The formula for all parameters in one call: eight small tensors take 5 us instead of 30 one by one."""
    torch._fused_sgd_(
        values,
        grads,
        velocities,
        lr=group["lr"],
        momentum=group["momentum"],
        dampening=group["dampening"],
        weight_decay=group["weight_decay"],
        nesterov=group["nesterov"],
        maximize=group["maximize"],
        is_first_step=is_first_step,
    )
