"""States that are free to move, and settle between what the blocks below and above them say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Rule
from mytorch.train.rules.chain import Block, require_tensor

Push = Callable[[Tensor], tuple[Tensor, Tensor]]
"""What else there is in the energy, and its gradient with respect to the topmost state."""

HALVINGS = 10
"""How often the rate is halved at most for a batch whose states do not settle."""


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

    Energy:   E = sum of || s_i - f_i(s_(i-1)) ||^2 / 2 + what `push` adds;  s_0, the input, is fixed
    Step:     e_i = s_i - f_i(s_(i-1));  s_i = s_i - rate * (e_i - J_(i+1)^T e_(i+1)), for the topmost
              e_i + the gradient of `push`;  J_i^T is the backward of block i, all of whose parameters are fixed
    If the energy ends higher than it began, as large weights let it, the descent begins again with half the rate.
    Returns the states and their errors e_i.
    """
    for _ in range(HALVINGS):
        settled, errors, fell = _descend(blocks, states, push, steps, rate)
        if fell:
            break
        rate /= 2
    return settled, errors


def _descend(
    blocks: Sequence[Block], states: Sequence[Tensor], push: Push, steps: int, rate: float
) -> tuple[list[Tensor], list[Tensor], bool]:
    """The states, their errors, and whether the energy is not above what it was."""
    lowest, states = states[0], list(states)
    began, d_top = push(states[-1])
    for _ in range(steps):
        flights = [block.forward(below) for block, below in zip(blocks[1:], states, strict=False)]
        errors = _errors(states, lowest, flights)
        above = zip(blocks[1:], errors[1:], flights, strict=True)
        pulls = [block.backward(e, saved) for block, e, (_, saved) in above]
        pulls.append(-d_top)
        states = [s - rate * (e - pull) for s, e, pull in zip(states, errors, pulls, strict=True)]
        ended, d_top = push(states[-1])
    flights = [block.forward(below) for block, below in zip(blocks[1:], states, strict=False)]
    errors = _errors(states, lowest, flights)
    energy = ended + sum((e.square().sum() for e in errors), start=torch.zeros_like(ended)) / 2
    return states, errors, bool(energy <= began)


def _errors(states: Sequence[Tensor], lowest: Tensor, flights: Sequence[tuple[Tensor, Any]]) -> list[Tensor]:
    return [s - f for s, f in zip(states, [lowest, *(f for f, _ in flights)], strict=True)]
