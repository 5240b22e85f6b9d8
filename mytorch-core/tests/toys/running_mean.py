"""An optimizer with a running mean of gradients, on which the contract of optimizers is shown."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Optimizer, Parameter, persistent, require_range


class Mean(Optimizer):
    state_entries: ClassVar = {"mean": "value", "steps": "number"}

    def __init__(self, params: Any, lr: Any = 0.1, rate: float = 0.5) -> None:
        super().__init__(params, {"lr": lr, "rate": rate})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_range("Mean", "lr", group["lr"], 0.0)

    def update(self, values: list[Tensor], grads: list[Tensor], states: Any, group: dict[str, Any]) -> None:
        for value, grad, state in zip(values, grads, states, strict=True):
            if not state:
                state["mean"] = persistent(grad)
                state["steps"] = 0
            else:
                state["mean"].lerp_(grad, group["rate"])
            state["steps"] += 1
            value.sub_(group["lr"] * state["mean"])


def with_gradient(*sizes: int) -> list[Parameter]:
    parameters = [Parameter(torch.randn(size)) for size in sizes]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter.value)
    return parameters
