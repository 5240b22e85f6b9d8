"""Training several contestants on the same batches, with the same random state at each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mytorch.core import Module, random_state
from mytorch.experiments.errors import ParityError
from mytorch.experiments.file.build import Built
from mytorch.experiments.file.schedules import plan_schedule
from mytorch.experiments.parity.contestant import Contestant, Ours, Torchs, judge
from mytorch.train.mean_loss import MeanLoss, Weight

History = list[dict[str, float]]


def train_in_lockstep(built: Built, contestants: Sequence[Contestant]) -> list[History]:
    """Train every contestant through the whole experiment. One history each, as mytorch.train writes it."""
    setup = built.setup
    histories: list[History] = [[] for _ in contestants]
    for epoch in range(1, built.experiment.epochs + 1):
        means = [MeanLoss(setup.loss) for _ in contestants]
        for inputs, targets in setup.batches:
            for mean, (value, weight) in zip(means, step_each(contestants, inputs, targets), strict=True):
                mean.add(value, weight)
        for contestant, history, mean in zip(contestants, histories, means, strict=True):
            judged = judge(contestant, setup, built.parts, built.metrics)
            history.append({"epoch": epoch, "train_loss": mean.compute(), **judged})
            contestant.advance("epoch", history[-1])
    return histories


def twin(built: Built, name: str = "PyTorch", *, fused: bool | None = None) -> Torchs:
    """The twin of what an experiment built."""
    experiment, setup = built.experiment, built.setup
    planned = plan_schedule(experiment, len(setup.batches))
    bounds = {"clip_grad_norm": experiment.clip_grad_norm, "clip_grad_value": experiment.clip_grad_value}
    return Torchs(setup, planned, name=name, fused=fused, **bounds)


def step_each(contestants: Sequence[Contestant], inputs: Any, targets: Any) -> list[tuple[float, Weight]]:
    """One step of every contestant from one random state: the loss and the weight of each.

    Raises ParityError for a loss that is not finite.
    """
    state = random_state(*(part for one in contestants for part in (one.net, one.loss) if isinstance(part, Module)))
    results = []
    for contestant in contestants:
        state.restore()
        results.append(contestant.step(inputs, targets))
        contestant.advance("batch")
    if not all(math.isfinite(value) or weight == 0 for value, weight in results):
        shown = ", ".join(f"{c.name} {v}" for c, (v, _) in zip(contestants, results, strict=True))
        raise ParityError(f"parity: losses must stay finite to be compared, got {shown}; choose a lower learning rate")
    return results


def single_steps(built: Built) -> float:
    """The largest relative difference after one step from equal weights, over every step of the experiment.

    Compared are the loss and, tensor by tensor in the 2-norm, all weights and buffers.
    """
    setup = built.setup
    ours, torchs = Ours(setup), twin(built)
    worst = 0.0
    for _ in range(built.experiment.epochs):
        for inputs, targets in setup.batches:
            torchs.copy_from(ours)
            (mine, _), (theirs, _) = step_each([ours, torchs], inputs, targets)
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
