"""How far an optimizer has trained, so that the next training goes on from there."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from torch import Generator, Tensor

from mytorch.core import Optimizer, Rule


@dataclass
class Position:
    """How far an optimizer has trained.

    epoch: so many epochs are complete. One that was broken off is not: it is taken again, from the weights that are
        there then.
    order: the state of the generator that draws the order of the next epoch's batches; None before there was one.
    rule: the learning rule that it has begun to train with; None for backpropagation.
    """

    epoch: int = 0
    order: Tensor | None = None
    rule: Rule | None = None
    _seed: int = 0

    def take_up(self, generator: Generator) -> None:
        """Let a generator of batches go on where the last one stood; one of another seed draws an order of its own."""
        if self.order is not None and generator.initial_seed() == self._seed:
            generator.set_state(self.order)

    def complete(self, epoch: int, generator: Generator) -> None:
        """Note that an epoch is complete."""
        self.epoch, self.order, self._seed = epoch, generator.get_state(), generator.initial_seed()


_positions: WeakKeyDictionary[Optimizer, Position] = WeakKeyDictionary()


def position_of(optimizer: Optimizer) -> Position:
    """The position of an optimizer, which is kept as long as there is the optimizer; at the start if it is new."""
    return _positions.setdefault(optimizer, Position())
