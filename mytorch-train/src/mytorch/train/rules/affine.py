"""A map that belongs to a rule and not to the model: a head, a decoder, a model of gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Affine:
    """y = x @ weight.T + bias, taught by plain gradient descent.

    x: (batch, in_features);  y: (batch, out_features)
    The tensors are replaced and not written into, so that a state that was taken stays as it was.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight, bias

    @classmethod
    def drawn(cls, in_features: int, out_features: int, like: Tensor, generator: torch.Generator) -> Affine:
        """One with a weight uniform within 1 / sqrt(in_features) and a bias of 0; the same on every device."""
        bound = 1 / math.sqrt(max(in_features, 1))
        weight = torch.empty(out_features, in_features, dtype=like.dtype).uniform_(-bound, bound, generator=generator)
        return cls(weight.to(like.device), like.new_zeros(out_features))

    @classmethod
    def zero(cls, in_features: int, out_features: int, like: Tensor) -> Affine:
        """One that gives 0 for everything."""
        return cls(like.new_zeros(out_features, in_features), like.new_zeros(out_features))

    def __call__(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight.t())

    def back(self, d_y: Tensor) -> Tensor:
        """The gradient of x."""
        return d_y @ self.weight

    def learn(self, x: Tensor, d_y: Tensor, lr: float) -> None:
        """One step of gradient descent."""
        self.weight = torch.addmm(self.weight, d_y.t(), x, alpha=-lr)
        self.bias = self.bias - lr * d_y.sum(0)

    def state_dict(self) -> dict[str, Tensor]:
        """The weight and the bias."""
        return {"weight": self.weight, "bias": self.bias}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Affine:
        """That of a state."""
        return cls(state["weight"], state["bias"])


def states_of(maps: list[Affine]) -> list[dict[str, Tensor]]:
    """The states of several."""
    return [each.state_dict() for each in maps]


def maps_of(states: list[Mapping[str, Any]]) -> list[Affine]:
    """Those of several states."""
    return [Affine.of_state(state) for state in states]
