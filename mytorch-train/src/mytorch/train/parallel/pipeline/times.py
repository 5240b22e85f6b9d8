"""When each stage of a pipeline computed what, in one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Timed(NamedTuple):
    """One forward or backward of a stage.

    kind: "forward" or "backward";  number: of the micro-batch, from 0.
    begin, end: seconds since the end of the step before, which all processes leave at about the same time.
    """

    kind: str
    number: int
    begin: float
    end: float


def bubble(stages: Sequence[Sequence[Timed]]) -> float:
    """The share of the time from the first to the last computation in which a stage waits, over all stages.

    Example:
        >>> from mytorch.train.parallel.pipeline import Timed, bubble
        >>> first = [Timed("forward", 0, 0.0, 1.0), Timed("backward", 0, 3.0, 4.0)]
        >>> bubble([first, [Timed("forward", 0, 1.0, 2.0), Timed("backward", 0, 2.0, 3.0)]])
        0.5
    """
    computed = [each for stage in stages for each in stage]
    if not computed:
        return 0.0
    whole = max(each.end for each in computed) - min(each.begin for each in computed)
    busy = sum(each.end - each.begin for each in computed)
    return 1 - busy / (whole * len(stages)) if whole else 0.0


def notes_of(counts: Sequence[int], replicas: int, of_processes: Sequence[Sequence[Timed]]) -> dict[str, Any]:
    """A pipeline as the summary of a run has it: of the first replica, each stage's times in the last step.

    counts: the layers of each stage.  of_processes: what each process computed, by rank.
    """
    times = [list(of_processes[stage * replicas]) for stage in range(len(counts))]
    return {
        "layers": list(counts),
        "replicas": replicas,
        "bubble": bubble(times),
        "times": [
            [[kind, number, round(begin, 6), round(end, 6)] for kind, number, begin, end in of_stage]
            for of_stage in times
        ],
    }
