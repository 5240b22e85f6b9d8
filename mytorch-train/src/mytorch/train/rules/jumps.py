"""Another derivative in place of that of units that jump, which is zero almost everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

from mytorch.core import ArgumentError, Module, Rule

Derivative = Callable[[Tensor], Tensor]
"""The derivative of a jump, or what takes its place, for each distance from the threshold."""

NAME = "jump_derivative"
"""The attribute of a layer that jumps: what its backward takes for the derivative of the jump."""


def jumps_of(rule: Rule, net: Module) -> list[Module]:
    """The layers of a net that jump. Raises ArgumentError if none does."""
    jumps = [layer for layer in net.modules() if callable(getattr(layer, NAME, None))]
    if not jumps:
        layers = sorted({type(layer).__name__ for layer in net.modules() if next(layer.children(), None) is None})
        raise ArgumentError(
            f"{type(rule).__name__}: the model must have a layer that jumps, such as Heaviside, Sign or LIF, whose "
            f"backward takes another derivative ({NAME}), got {', '.join(layers)}; train it without a rule"
        )
    return jumps


@contextmanager
def replaced(jumps: list[Module], derivative: Derivative) -> Iterator[None]:
    """Within this context, layers that jump go back with a derivative in place of their own."""
    before = [vars(layer).get(NAME) for layer in jumps]
    try:
        for layer in jumps:
            vars(layer)[NAME] = derivative
        yield
    finally:
        for layer, own in zip(jumps, before, strict=True):
            vars(layer).pop(NAME)
            vars(layer).update({} if own is None else {NAME: own})
