"""States that are free to move, and settle between what the blocks below and above them say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from mytorch.core import Module, Rule
from mytorch.train.rules.chain import Block, require_tensor

Push = Callable[[Tensor], Tensor]
"""The gradient of what else there is in the energy, with respect to the topmost state."""


def forward(rule: Rule, blocks: Sequence[Block], x: Any) -> list[Tensor]:
    """The output of each block, where states stand without an error. Raises ArgumentError unless each is a tensor."""
    states = []
    for block in blocks:
        x, _ = block.forward(x)
        states.append(require_tensor(rule, f"the output of {block}", x))
    return states


def settle(
    blocks: Sequence[Block], states: Sequence[Tensor], push: Push, steps: int, rate: float
) -> tuple[list[Tensor], list[Tensor]]:
    """Gradient descent of the states on their energy, from where they stand without an error.

    Energy:   E = sum of || s_i - f_i(s_(i-1)) ||^2 / 2 + whatever `push` is the gradient of;  s_0, the input, is fixed
    Step:     e_i = s_i - f_i(s_(i-1));  s_i = s_i - rate * (e_i - J_(i+1)^T e_(i+1)), for the topmost
              e_i + push(s_i);  J_i^T is the backward of block i, all of whose parameters are fixed
    Returns the states and their errors e_i.
    """
    lowest, states = states[0], list(states)
    for _ in range(steps):
        flights = [block.forward(below) for block, below in zip(blocks[1:], states, strict=False)]
        errors = _errors(states, lowest, flights)
        above = zip(blocks[1:], errors[1:], flights, strict=True)
        pulls = [block.backward(e, saved) for block, e, (_, saved) in above]
        pulls.append(-push(states[-1]))
        states = [s - rate * (e - pull) for s, e, pull in zip(states, errors, pulls, strict=True)]
    flights = [block.forward(below) for block, below in zip(blocks[1:], states, strict=False)]
    return states, _errors(states, lowest, flights)


def _errors(states: Sequence[Tensor], lowest: Tensor, flights: Sequence[tuple[Tensor, Any]]) -> list[Tensor]:
    return [s - f for s, f in zip(states, [lowest, *(f for f, _ in flights)], strict=True)]


@contextmanager
def fixed(net: Module) -> Iterator[None]:
    """Within this context, no backward adds to a gradient."""
    trained = [held for held in net.param() if held.trainable]
    try:
        for held in trained:
            held.trainable = False
        yield
    finally:
        for held in trained:
            held.trainable = True
