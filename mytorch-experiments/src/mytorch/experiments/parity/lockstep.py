"""Training several contestants on the same batches, with the same random state at each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.experiments.errors import ParityError
from mytorch.experiments.file.build import Setup
from mytorch.experiments.parity.contestant import Contestant, Ours, Torchs, judge
from mytorch.train.batches import count_rows
from mytorch.train.evaluation import averages

History = list[dict[str, float]]


def train_in_lockstep(setup: Setup, contestants: Sequence[Contestant]) -> list[History]:
    """Train every contestant through the whole experiment. One history each, as mytorch.train writes it."""
    histories: list[History] = [[] for _ in contestants]
    for epoch in range(1, setup.experiment.epochs + 1):
        totals, rows = [0.0] * len(contestants), 0
        for inputs, targets in setup.batches:
            here = count_rows(targets)
            rows += here
            for index, value in enumerate(step_each(contestants, inputs, targets)):
                totals[index] += value * (here if averages(setup.loss) else 1)
        for contestant, history, total in zip(contestants, histories, totals, strict=True):
            contestant.advance("epoch")
            history.append({"epoch": epoch, "train_loss": total / rows, **judge(contestant, setup)})
    return histories


def step_each(contestants: Sequence[Contestant], inputs: Any, targets: Any) -> list[float]:
    """One step of every contestant from one random state. Raises ParityError for a loss that is not finite."""
    state = torch.get_rng_state()
    values = []
    for contestant in contestants:
        torch.set_rng_state(state)
        values.append(contestant.step(inputs, targets))
        contestant.advance("batch")
    if not all(map(math.isfinite, values)):
        shown = ", ".join(f"{c.name} {v}" for c, v in zip(contestants, values, strict=True))
        raise ParityError(f"parity: losses must stay finite to be compared, got {shown}; choose a lower learning rate")
    return values


def single_steps(setup: Setup) -> float:
    """The largest relative difference after one step from equal weights, over every step of the experiment.

    Compared are the loss and, tensor by tensor in the 2-norm, all weights and buffers.
    """
    ours, torchs = Ours(setup), Torchs(setup)
    worst = 0.0
    for _ in range(setup.experiment.epochs):
        for inputs, targets in setup.batches:
            torchs.copy_from(ours)
            mine, theirs = step_each([ours, torchs], inputs, targets)
            state = torchs.state()
            differences = [relative_difference(value, state[name]) for name, value in ours.state().items()]
            worst = max(worst, gap(mine, theirs) / max(abs(theirs), 1e-30), *differences)
        ours.advance("epoch")
        torchs.advance("epoch")
    return worst


def relative_difference(value: Tensor, reference: Tensor) -> float:
    """|value - reference| / |reference| in the 2-norm; 0 if both are zero, infinite if a value is not finite."""
    difference = float((value.double() - reference.double()).norm())
    if not math.isfinite(difference):
        return math.inf
    return difference / max(float(reference.double().norm()), 1e-30) if difference else 0.0


def gap(one: float, other: float) -> float:
    """|one - other|; infinite if exactly one is not finite, or both but differently: NaN would compare as no gap."""
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    difference = abs(one - other)
    return math.inf if math.isnan(difference) else difference


def largest_gap(one: History, other: History, names: Sequence[str] | None = None) -> float:
    """The largest difference of two histories, over all epochs and the quantities named, or all."""
    return max(
        (gap(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in names or a if name != "epoch"),
        default=0.0,
    )
