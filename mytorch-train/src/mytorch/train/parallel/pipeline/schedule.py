"""In which order a stage of a pipeline computes the forwards and backwards of its micro-batches."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Action(NamedTuple):
    """The forward or the backward of a micro-batch, which are counted from 0."""

    kind: Literal["forward", "backward"]
    number: int


def one_forward_one_backward(stage: int, stages: int, count: int) -> list[Action]:
    """The order of one stage for `count` micro-batches: as many forwards as there are stages after it, then one
    forward and one backward in turn, then the backwards that are left.

    So a stage holds the saved values of at most `stages - stage` micro-batches, however many there are.
    stage: counted from 0.
    Source: Narayanan et al. 2019, "PipeDream: generalized pipeline parallelism for DNN training", in the form with a
        flush after each step of Narayanan et al. 2021, "Memory-efficient pipeline-parallel DNN training"

    Example:
        >>> from mytorch.train.parallel.pipeline import one_forward_one_backward
        >>> for stage in range(2):
        ...     print(" ".join(f"{kind[0]}{number}" for kind, number in one_forward_one_backward(stage, 2, 3)))
        f0 f1 b0 f2 b1 b2
        f0 b0 f1 b1 f2 b2
    """
    ahead = min(stages - stage - 1, count)
    actions = [Action("forward", number) for number in range(ahead)]
    for number in range(count):
        if number + ahead < count:
            actions.append(Action("forward", number + ahead))
        actions.append(Action("backward", number))
    return actions
