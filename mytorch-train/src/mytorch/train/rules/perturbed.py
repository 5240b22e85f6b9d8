"""Losses of a batch at weights that were moved in random directions: what rules of forward passes alone look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Parameter, random_state
from mytorch.train.accumulate import joined
from mytorch.train.batches import call
from mytorch.train.mean_loss import Weight, sums, weight_of

LARGEST = 2**62
"""Seeds of directions are drawn below it."""
LEAST = 1e-8
"""How far weights are moved at least; less would be lost in rounding."""
CLOSE = "in which the small differences between losses that it learns from are lost"
"""Why rules that move weights refuse half precision."""


class Perturbed:
    """A net whose trained parameters are moved along directions, each of which is drawn anew from its seed.

    So a direction takes no memory between its uses. On one kind of device, the same seeds give the same directions.
    Within a step, every forward pass draws the same random numbers, and buffers keep what the first one left in them.
    Raises ArgumentError for a net without a parameter to train.
    """

    def __init__(self, owner: str, net: Module, loss: Module, seed: int) -> None:
        self.parameters = [held for held in net.param() if held.trainable]
        if not self.parameters:
            raise ArgumentError(f"{owner}: the net must have a parameter to train, got none in {type(net).__name__}")
        self._random = random_state(net, loss)
        self.generator = torch.Generator().manual_seed(seed)
        self._drawn = torch.Generator(self.parameters[0].value.device)

    def seeds(self, count: int) -> list[int]:
        """Seeds of the next directions."""
        found: list[int] = torch.randint(LARGEST, (count,), generator=self.generator).tolist()
        return found

    def direction(self, seed: int) -> Iterator[tuple[Parameter, Tensor]]:
        """Every parameter with standard normal numbers of its shape."""
        self._drawn.manual_seed(seed)
        for held in self.parameters:
            value = held.value
            yield held, torch.randn(value.shape, dtype=value.dtype, device=value.device, generator=self._drawn)

    def losses(
        self,
        net: Module,
        loss: Module,
        inputs: Sequence[Any],
        targets: Sequence[Any],
        moves: Sequence[tuple[int, float]],
    ) -> tuple[Tensor, Weight]:
        """The loss at each of the moved weights, and the weight in a mean of all batches together.

        inputs, targets: of each batch.
        moves: of each evaluation, the seed of its direction, and how far it goes along it.
        """
        found, random, kept = [], self._random.again(), None
        weight: Weight = 0
        for seed, distance in moves:
            random.restore()
            with self._moved(seed, distance):
                value, weight = _loss_of_all(net, loss, inputs, targets)
                found.append(value)
            if kept is None:
                kept = [(held, held.value.clone()) for _, held in net.named_buffer()]
        for held, value in kept or ():
            held.value.copy_(value)
        return torch.stack(found), weight

    def accumulate(self, seed: int, coefficient: Tensor) -> None:
        """Add a direction times a number to the gradients. A number that is not finite, as of a loss of nothing but
        ignored targets, counts as 0.
        """
        coefficient = coefficient.nan_to_num(0.0, 0.0, 0.0)
        for held, noise in self.direction(seed):
            held.accumulate(noise.mul_(coefficient))

    @contextmanager
    def _moved(self, seed: int, distance: float) -> Iterator[None]:
        values = [held.value for held in self.parameters]
        try:
            for held, noise in self.direction(seed):
                held.value = noise.mul_(distance).add_(held.value)
            yield
        finally:
            for held, value in zip(self.parameters, values, strict=True):
                held.value = value


def _loss_of_all(net: Module, loss: Module, inputs: Sequence[Any], targets: Sequence[Any]) -> tuple[Tensor, Weight]:
    """The loss over several batches, and the sum of their weights."""
    values, weights = [], []
    for x, t in zip(inputs, targets, strict=True):
        prediction = call(net, x)
        values.append(loss(prediction, t))
        weights.append(weight_of(loss, prediction, t))
    if len(values) == 1:
        return values[0], weights[0]
    return joined(values, weights, sums(loss)), sum(weights[1:], weights[0])
