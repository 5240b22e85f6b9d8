"""How the layers of a model are shared out among the stages of a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from mytorch.core import ArgumentError, Buffer, Module, Parameter
from mytorch.plugins import shown

Stages = int | Sequence[int]
"""The number of stages, or the number of layers of each."""


def choose_micro_batches(stages: Any, micro_batches: Any) -> int:
    """Into how many parts each batch is cut. Four for each stage, if nobody says: they wait for a fifth of the time.

    Raises ArgumentError unless `stages` is a number of stages, or of layers for each, and this a number with stages.
    """
    counts = stages if isinstance(stages, (list, tuple)) else [stages]
    if not counts or any(type(count) is not int or count < 1 for count in counts):
        raise ArgumentError(
            "stages: must be a whole number of at least 1, or a list of the layers of each stage, such as [2, 3], got "
            f"{shown(stages)}"
        )
    if micro_batches is None:
        return 4 * count_stages(stages)
    if type(micro_batches) is not int or micro_batches < 1:
        raise ArgumentError(f"micro_batches: must be a whole number of at least 1, got {shown(micro_batches)}")
    if count_stages(stages) == 1:
        raise ArgumentError(
            f"micro_batches: must come with stages, of a pipeline of several processes, got {micro_batches} and "
            f"stages = {shown(stages)}; set stages = 2 or more, or accumulate several batches"
        )
    return micro_batches


def count_stages(stages: Stages) -> int:
    """How many stages there are."""
    return stages if isinstance(stages, int) else len(stages)


def cut(net: Module, stages: Stages) -> list[Module]:
    """The parts of a Sequential that are the stages, which share its layers.

    By default the largest number of parameters in a stage is as small as it can be.
    Raises ArgumentError for a net that is no Sequential, for more stages than layers, for numbers of layers that do
        not add up to all, and for layers that need the other processes, or hold buffers in two stages.
    """
    number = count_stages(stages)
    name = type(net).__name__
    if not callable(getattr(net, "cut", None)):
        raise ArgumentError(
            f"stages: the model must be a Sequential, whose layers are shared out, got {name}; write it as a "
            "Sequential of its blocks, or train it without stages"
        )
    layers: list[Module] = list(net)  # type: ignore[call-overload]
    if len(layers) < number:
        raise ArgumentError(
            f"stages: there must be at most as many as layers, got {number} for {name}, which has "
            f"{len(layers)}; take fewer stages, or write the blocks of the model as layers of their own"
        )
    if not isinstance(stages, int) and sum(stages) != len(layers):
        raise ArgumentError(
            f"stages: the layers of all stages must add up to the {len(layers)} layers of {name}, got "
            f"{list(stages)}, which make {sum(stages)}"
        )
    _require_alone(net)
    counts = balanced(costs_of(layers), number) if isinstance(stages, int) else stages
    parts: list[Module] = net.cut(counts)  # type: ignore[attr-defined]
    _require_apart(net, parts)
    return parts


def costs_of(layers: Sequence[Module]) -> list[int]:
    """The number of parameters of each layer, those of shared ones once, and 1 for the layer itself."""
    seen: set[Parameter] = set()
    costs = []
    for layer in layers:
        new = [held for held in layer.param() if held not in seen]
        seen.update(new)
        costs.append(1 + sum(held.value.numel() for held in new))
    return costs


def balanced(costs: Sequence[float], stages: int) -> list[int]:
    """How many layers each stage has, one after the other, so that the largest sum of costs is as small as it can be.

    costs: of each layer: its parameters, as `stages` counts them, or the seconds that it was measured to take.

    Example:
        >>> from mytorch.train.parallel.pipeline import balanced
        >>> balanced([4, 1, 1, 2, 3, 3], 3)
        [3, 2, 1]
    """
    count = len(costs)
    sums = [0.0]
    for cost in costs:
        sums.append(sums[-1] + cost)
    least = [0.0, *[float("inf")] * count]  # the largest sum of the stages so far, by the layers they have
    cuts: list[list[int]] = []
    for stage in range(1, stages + 1):
        found = [(float("inf"), 0)] * (count + 1)
        for end in range(stage, count - (stages - stage) + 1):
            found[end] = min((max(least[at], sums[end] - sums[at]), -at) for at in range(stage - 1, end))
        least = [largest for largest, _ in found]
        cuts.append([-at for _, at in found])
    ends = [count]
    for stage_cuts in reversed(cuts):
        ends.append(stage_cuts[ends[-1]])
    return [after - before for after, before in pairwise(ends)][::-1]


def _require_alone(net: Module) -> None:
    for path, module in net.named_modules():
        if getattr(module, "asks_processes", False):
            raise ArgumentError(
                f"stages: every layer must compute with what its own process has, got {type(module).__name__} "
                f"({path!r}), which asks all of them; normalise over micro-batches, or train without stages"
            )


def _require_apart(net: Module, parts: Sequence[Module]) -> None:
    """Raise ArgumentError for a buffer in two stages: each would change its own."""
    seen: set[Buffer] = set()
    for part in parts:
        own = {held for _, held in part.named_buffer()}
        if both := seen & own:
            name = next(name for name, held in net.named_buffer() if held in both)
            raise ArgumentError(
                f"stages: a layer with buffers must be in one stage, got {name} in two of them; choose the layers of "
                "each stage, as in stages = [2, 3], so that its uses are together"
            )
        seen |= own
