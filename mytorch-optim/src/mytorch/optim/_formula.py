"""What the formulas of optimizers have in common: how a step begins, and the quotient that it subtracts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import persistent
from mytorch.core.compiling import is_compiling

Number = float | Tensor
"""A number of Python's, or a 0-dim tensor where a step is traced or runs on another device than the CPU."""


def rate(group: Mapping[str, Any]) -> Number:
    """The learning rate, as a number or a 0-dim tensor."""
    lr: Number = group["lr"]
    return lr.reshape(()) if isinstance(lr, Tensor) else lr


def begun(
    values: list[Tensor],
    grads: list[Tensor],
    states: list[dict[str, Any]],
    group: Mapping[str, Any],
    entries: Mapping[str, Number],
    decoupled: bool = False,
) -> Iterator[Any]:
    """For each parameter: the number of this step, counted from 1; the value; the gradient; and the entries.

    The gradient is that of the quantity to minimise (`maximize` turns its sign), with weight_decay * p added, unless
    the decay is `decoupled`: then p has been multiplied by 1 - lr * weight_decay.
    entries: what is kept by name, with the number that all its elements have before the first step.
    Complex tensors come as real ones with an axis of two more.
    """
    counts = next_steps(states, values)
    for t, p, g, state in zip(counts, values, grads, states, strict=True):
        kept = [_entry(state, name, p, start) for name, start in entries.items()]
        g = -g if group["maximize"] else g
        if group.get("weight_decay", 0) != 0:
            if decoupled:
                p.mul_(1 - rate(group) * group["weight_decay"])
            else:
                g = g + group["weight_decay"] * p
        tensors = (p, g, *kept)
        yield t, *(map(torch.view_as_real, tensors) if p.is_complex() else tensors)


def _entry(state: dict[str, Any], name: str, p: Tensor, start: Number) -> Tensor:
    if name not in state:
        entry = torch.zeros_like(p)
        (torch.view_as_real(entry) if p.is_complex() else entry).add_(start)
        state[name] = persistent(entry)
    held: Tensor = state[name]
    return held


def next_steps(states: list[dict[str, Any]], values: list[Tensor]) -> list[Number]:
    """Count a step of each parameter, and return their numbers, from 1. They are kept as torch does, in float32."""
    for p, state in zip(values, states, strict=True):
        step = state.get("step", 0.0)
        if not isinstance(step, Tensor):  # before the first, or in the state of an old torch
            state["step"] = kept_number(step, p)
    held = [state["step"] for state in states]
    count(held)
    return [number(one) for one in held]


def count(held: list[Tensor]) -> None:
    """Add 1 to each of the tensors.

    Where all are equal, as they mostly are, the new number is copied into all: sixteen take 6 us instead of 45.
    """
    if not is_compiling() and all(one.is_cpu for one in held):
        numbers = [one.item() for one in held]
        if numbers.count(numbers[0]) == len(numbers):
            new = torch.full((), numbers[0] + 1, dtype=held[0].dtype)
            torch._foreach_copy_(held, [new] * len(held))
            return
    torch._foreach_add_(held, 1)


def kept_number(value: Number, p: Tensor) -> Tensor:
    """A 0-dim tensor for the state, beside the value."""
    return persistent(torch.zeros((), dtype=torch.float32, device=p.device).add_(value))


def write_number(held: Tensor, value: Number) -> None:
    """Write a number into the state, rounded to float32 as torch rounds it, also where the state is wider."""
    held.copy_(value if isinstance(value, Tensor) else held.new_tensor(value, dtype=torch.float32))


def held_number(state: dict[str, Any], name: str, start: Number, p: Tensor) -> Tensor:
    """An entry that is one number, begun at `start`; a plain number, as a state may hold, becomes a tensor first."""
    held = state.get(name, start)
    if not (isinstance(held, Tensor) and held.is_floating_point() and name in state):
        held = state[name] = kept_number(held.reshape(()) if isinstance(held, Tensor) else held, p)
    return held


def number(held: Tensor) -> Number:
    """What formulas compute with: a number of Python's where reading it waits for nothing; in float64 in any case."""
    if is_compiling() or held.device.type != "cpu":
        return held.double().reshape(())
    return held.item()


def lerp_(average: Tensor, new: Tensor, weight: Number) -> Tensor:
    """average = average + weight * (new - average)"""
    return average.lerp_(new, weight_of_lerp(weight, average))


def weight_of_lerp(weight: Number, average: Tensor) -> Number:
    """The weight as lerp takes it: a tensor must have the dtype of the average."""
    return weight.to(average.dtype) if isinstance(weight, Tensor) else weight


def average_square_(average: Tensor, new: Tensor, beta: Number) -> Tensor:
    """average = beta * average + (1 - beta) * new^2"""
    if isinstance(beta, Tensor):
        return average.mul_(beta).add_(new * new * (1 - beta))
    return average.mul_(beta).addcmul_(new, new, value=1 - beta)


def smaller(one: Number, other: Number) -> Number:
    """The smaller of two numbers."""
    if isinstance(one, Tensor):
        return one.clamp(max=other)
    return other.clamp(max=one) if isinstance(other, Tensor) else min(one, other)


def larger(one: Number, other: float) -> Number:
    """The larger of two numbers."""
    return one.clamp(min=other) if isinstance(one, Tensor) else max(one, other)


def descend(p: Tensor, lr: Number, numerator: Tensor, denominator: Tensor | None = None) -> None:
    """p = p - lr * numerator / denominator; without a denominator: p - lr * numerator"""
    if isinstance(lr, Tensor):
        p.sub_(lr * (numerator if denominator is None else numerator / denominator))
    elif denominator is None:
        p.add_(numerator, alpha=-lr)
    else:
        p.addcdiv_(numerator, denominator, value=-lr)
