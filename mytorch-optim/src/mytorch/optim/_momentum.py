"""Momentum that a schedule moves: an optimizer's `momentum`, or the first of its `betas`."""

from collections.abc import Mapping, Sequence
from typing import Any

from mytorch.core import ArgumentError, Optimizer
from mytorch.optim.checks import one_a_group, require_setting


def start_momentum(
    owner: object, optimizer: Optimizer, base: float | Sequence[float], top: float | Sequence[float]
) -> None:
    """Keep the bounds of each group's momentum in the group, and begin with the upper one.

    Raises ArgumentError for bounds out of range, and for an optimizer that has neither momentum nor betas.
    """
    name = type(owner).__name__
    if not optimizer.defaults.keys() & {"momentum", "betas"}:
        raise ArgumentError(
            f"{name}: optimizer must have momentum or betas, got {type(optimizer).__name__}; pass cycle_momentum=False"
        )
    bases = one_a_group(owner, "base_momentum", base, optimizer)
    tops = one_a_group(owner, "max_momentum", top, optimizer)
    below_1 = "betas" in optimizer.defaults
    for group, low, high in zip(optimizer.param_groups, bases, tops, strict=True):
        for subject, value in (("base_momentum", low), ("max_momentum", high)):
            require_setting(owner, subject, value, 0.0)
            if below_1 and value >= 1:
                raise ArgumentError(f"{name}: {subject} must be below 1 for betas, got {value}")
        group.update(base_momentum=low, max_momentum=high)


def momentum_setting(initial: Mapping[str, Any], momentum: float) -> dict[str, Any]:
    """The setting that gives a group this momentum."""
    if "betas" in initial:
        return {"betas": (momentum, *initial["betas"][1:])}
    return {"momentum": momentum}
