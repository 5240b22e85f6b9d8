"""What the gradients of each layer are like: how large, how sparse, how steady."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import GradientSeen, Module, Quantity

EPSILON = 1e-30


class LayerGradients(Quantity):
    """Of the gradient of each parameter: its norm, how many of its numbers are 0, how steady it is, and dead units.

        gradient_norm/NAME: the Euclidean norm, the mean over the steps of the epoch
        gradient_zeros/NAME: the share of numbers that are exactly 0, the mean over the steps
        gradient_cosine/NAME: the cosine of the angle to the gradient of the step before, the mean over the steps;
            near 1 where steps agree, below 0 where each takes back what the last one did
        dead_units/NAME: the share of rows of a weight that have had no gradient in any step of the epoch: units behind
            a ReLU that never opens, or rows of an embedding that no sample uses; for weights of two axes and more

    Keeps the last gradient of each parameter, for the cosine.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, MSELoss, ReLU, Sequential
        >>> from mytorch.train.quantities import LayerGradients, watch_gradients
        >>> net, gradients = Sequential(Linear(2, 4), ReLU(), Linear(4, 1)), LayerGradients()
        >>> net[0].bias.value[:] = torch.tensor([-100.0, 100, 100, 100])
        >>> _ = watch_gradients(net, MSELoss(), torch.randn(5, 2), torch.randn(5, 1), [gradients])
        >>> gradients.results()["dead_units/0.weight"]
        0.25
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps: dict[str, int] = {}
        self._used: dict[str, Tensor] = {}
        self._last: dict[str, Tensor] = {}

    def gradient(self, seen: GradientSeen) -> None:
        name, grad = seen.name, seen.grad
        norm = torch.linalg.vector_norm(grad)
        zeros = (grad == 0).sum().to(norm.dtype) / max(grad.numel(), 1)
        cosine = torch.zeros_like(norm)
        if (last := self._last.get(name)) is not None:
            cosine = (grad * last).sum() / (norm * torch.linalg.vector_norm(last)).clamp(min=EPSILON)
            self._steps[f"cosine {name}"] = self._steps.get(f"cosine {name}", 0) + 1
        self._last[name] = grad.clone()
        found = torch.stack([norm, zeros, cosine])
        self._sums[name] = self._sums[name] + found if name in self._sums else found
        self._steps[name] = self._steps.get(name, 0) + 1
        if grad.dim() > 1:
            used = grad.flatten(1).ne(0).any(1)
            self._used[name] = self._used[name] | used if name in self._used else used

    def names(self, net: Module) -> list[str]:
        found: list[str] = []
        for name, parameter in net.named_param():
            if parameter.trainable:
                found += [f"gradient_norm/{name}", f"gradient_zeros/{name}", f"gradient_cosine/{name}"]
                found += [f"dead_units/{name}"] * (parameter.value.dim() > 1)
        return found

    def results(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, sums in self._sums.items():
            norm, zeros, cosine = sums.tolist()
            steps = self._steps[name]
            found |= {f"gradient_norm/{name}": norm / steps, f"gradient_zeros/{name}": zeros / steps}
            found[f"gradient_cosine/{name}"] = cosine / max(self._steps.get(f"cosine {name}", 0), 1)
            if name in self._used:
                found[f"dead_units/{name}"] = 1 - self._used[name].double().mean().item()
        self._sums, self._steps, self._used = {}, {}, {}
        return found

    def state_dict(self) -> dict[str, Any]:
        return {
            "sums": dict(self._sums),
            "steps": dict(self._steps),
            "used": dict(self._used),
            "last": dict(self._last),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._sums, self._steps = dict(state["sums"]), dict(state["steps"])
        self._used, self._last = dict(state["used"]), dict(state["last"])
