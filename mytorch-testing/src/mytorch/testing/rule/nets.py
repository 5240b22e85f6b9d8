"""Small chains of layers, each with a loss and a batch, on which a learning rule is tried."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mytorch.core import Loss, Module, Parameter

ROWS, SIZES = 6, (7, 12, 12, 10, 3)
"""Fewer rows than units in a layer, so that weights can change without a change of what comes out."""
EPSILON = 1e-8


class Task(NamedTuple):
    """A net, its loss, and a batch to learn."""

    net: Module
    loss: Loss
    inputs: Any
    targets: Any


class Affine(Module):
    """y = x weight^T + bias"""

    def __init__(self, in_features: int, out_features: int) -> None:
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(torch.randn(out_features, in_features) / math.sqrt(in_features))
        self.bias = Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x @ self.weight.value.T + self.bias.value, x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        self.weight.accumulate(d_y.T @ x)
        self.bias.accumulate(d_y.sum(0))
        return d_y @ self.weight.value if self.input_grad else None


class Squash(Module):
    """y = tanh(x)"""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = x.tanh()
        return y, y

    def backward(self, d_y: Tensor, y: Tensor) -> Tensor:
        return d_y * (1 - y * y)


class Jump(Module):
    """y = the sign of x, whose derivative is 0 wherever it has one."""

    jump_derivative: Callable[[Tensor], Tensor] = staticmethod(torch.zeros_like)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return (x >= 0).to(x.dtype) * 2 - 1, x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor:
        return d_y * self.jump_derivative(x)


class Level(Module):
    """y = x / sqrt(mean(x^2)) of each row, which hides the length of the row from the layers above."""

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        scale = (x.square().mean(-1, keepdim=True) + EPSILON).rsqrt()
        y = x * scale
        return y, (y, scale)

    def backward(self, d_y: Tensor, saved: tuple[Tensor, Tensor]) -> Tensor:
        y, scale = saved
        return scale * (d_y - y * (d_y * y).mean(-1, keepdim=True))


class Chain(Module):
    """Its layers, one after the other."""

    def __init__(self, *layers: Module) -> None:
        self.layers = list(layers)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return ((str(number), layer) for number, layer in enumerate(self.layers))

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)

    def first_child(self) -> Module:
        """The layer that is given the input."""
        return self.layers[0]

    def cut(self, counts: list[int]) -> list[Chain]:
        """Chains of so many layers each."""
        ends = [sum(counts[:at]) for at in range(len(counts) + 1)]
        return [Chain(*self.layers[begin:end]) for begin, end in pairwise(ends)]

    def forward(self, x: Any) -> tuple[Any, list[Any]]:
        saved = []
        for layer in self.layers:
            x, kept = layer.forward(x)
            saved.append(kept)
        return x, saved

    def backward(self, d_y: Any, saved: list[Any]) -> Any:
        for layer in reversed(self.layers):
            d_y = layer.backward(d_y, saved.pop())
        return d_y


class Squares(Loss):
    """The mean of (prediction - target)^2, times a factor."""

    outputs = "numbers"

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        difference = prediction - target
        return self.factor * difference.square().mean(), difference

    def backward(self, d_value: Any, difference: Tensor) -> Tensor:
        d: Tensor = d_value * self.factor * 2 / difference.numel() * difference
        return d

    def weight_of(self, prediction: Tensor, target: Tensor) -> int:  # noqa: ARG002
        return prediction.numel()


class Surprise(Loss):
    """The mean of -log softmax(prediction)[class], times a factor."""

    outputs = "softmax"

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Any]:
        logs = prediction.log_softmax(-1)
        return -self.factor * logs.gather(1, target[:, None]).mean(), (logs, target)

    def backward(self, d_value: Any, saved: Any) -> Tensor:
        logs, target = saved
        d: Tensor = logs.exp()
        d[torch.arange(len(d)), target] -= 1
        return d.mul_(d_value * self.factor / len(d))

    def weight_of(self, prediction: Tensor, target: Tensor) -> int:  # noqa: ARG002
        return len(prediction)


def numbers(unit: Callable[[], Module] = Squash) -> Task:
    """A chain that learns numbers."""
    x = torch.randn(ROWS, SIZES[0], dtype=torch.float64)
    t = torch.randn(ROWS, SIZES[-1], dtype=torch.float64)
    return Task(_chain(unit), Squares(), x, t)


def classes() -> Task:
    """A chain that learns classes."""
    x = torch.randn(ROWS, SIZES[0], dtype=torch.float64)
    return Task(_chain(Squash), Surprise(), x, torch.arange(ROWS) % SIZES[-1])


def jumps() -> Task:
    """A chain whose units have no derivative that backpropagation could use."""
    return numbers(Jump)


def normalised() -> Task:
    """A chain that learns classes, whose hidden layers hide the length of what they pass on."""
    _, loss, x, t = classes()
    return Task(_chain(Squash, Level), loss, x, t)


def _chain(*units: Callable[[], Module]) -> Chain:
    layers: list[Module] = []
    for sizes in pairwise(SIZES):
        layers += [Affine(*sizes), *(unit() for unit in units)]
    return Chain(*layers[: -len(units)]).to(torch.float64)
