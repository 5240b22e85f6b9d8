"""A map that belongs to a rule and not to the model: a head, a decoder, a model of gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from mytorch.core import Module, StateError


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


class Affines:
    """The maps that a rule has for the hidden blocks of a net, made when the first batch shows their sizes.

    owner: the rule, and what it calls them, for errors;  count: of the hidden blocks that have one;  net: on whose
        device they are.
    """

    def __init__(self, owner: str, count: int, net: Module) -> None:
        self._owner, self._count = owner, count
        self._device = next((held.value.device for held in net.param()), None)
        self.maps: list[Affine] = []

    def sized(self, sizes: Iterable[tuple[int, int]], make: Callable[[int, int], Affine]) -> list[Affine]:
        """The maps, made now if there are none; sizes: in_features and out_features of each.

        Raises StateError if those of an earlier batch, or of a state, have other sizes.
        """
        wanted = list(sizes)
        if not self.maps:
            self.maps = [make(*each) for each in wanted]
        found = [(each.weight.shape[1], each.weight.shape[0]) for each in self.maps]
        if found != wanted:
            raise StateError(
                f"{self._owner} must map as many numbers as the blocks of the model give, {wanted}, got {found}; give "
                "every batch rows of the same size, and load the state of a training of this model"
            )
        return self.maps

    def state_dict(self) -> list[dict[str, Tensor]]:
        """The states of all."""
        return [each.state_dict() for each in self.maps]

    def load_state_dict(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Take other maps, or none, so that they are made at the next batch.

        Raises StateError, before anything changes, unless there is none, or one for each block.
        """
        if len(states) not in (0, self._count):
            raise StateError(
                f"{self._owner} must be one for each of {self._count} hidden blocks, got {len(states)}; load the "
                "state of a training of this model"
            )
        self.maps = [Affine(each["weight"].to(self._device), each["bias"].to(self._device)) for each in states]
