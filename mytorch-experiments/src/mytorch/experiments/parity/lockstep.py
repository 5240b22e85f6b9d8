"""Training several contestants on the same batches, with the same random state at each step."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Module, RandomState, random_state
from mytorch.experiments.errors import ParityError
from mytorch.experiments.file.build import Built
from mytorch.experiments.file.schedules import plan_schedule
from mytorch.experiments.parity.contestant import Contestant, Ours, Torchs, judge
from mytorch.train.mean_loss import MeanLoss, Weight

STEP_TOLERANCE = 1e-5
"""In float32, relative, for the loss and each weight tensor after a single step from equal weights."""
ROUNDINGS, REPEATS = 10, 10
"""How many times as much as PyTorch from itself, with weights that changed a little, a number may differ that rounding
decides, and how often PyTorch takes a step again to find out.

One rounding decides a ReLU at zero, or which of two numbers is larger. Adam divides a gradient by its size: where that
is zero but for rounding, as for a bias in front of a BatchNorm, rounding decides the whole step.
"""

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
    state = _random_state(contestants)
    results = []
    for contestant in contestants:
        state.restore()
        results.append(contestant.step(inputs, targets))
        contestant.advance("batch")
    if not all(math.isfinite(value) or weight == 0 for value, weight in results):
        shown = ", ".join(f"{c.name} {v}" for c, (v, _) in zip(contestants, results, strict=True))
        raise ParityError(f"parity: losses must stay finite to be compared, got {shown}; choose a lower learning rate")
    return results


def _random_state(contestants: Sequence[Contestant]) -> RandomState:
    return random_state(*(part for one in contestants for part in (one.net, one.loss) if isinstance(part, Module)))


@dataclass
class Steps:
    """How far single steps in float32 from equal weights differ from PyTorch's."""

    gap: float = 0.0
    """The largest relative difference of a loss or, in the 2-norm, of a tensor of weights or buffers."""
    steps: int = 0
    rounded: int = 0
    """Steps in which rounding decides some numbers of a tensor, in PyTorch as well: they are left out of the gap."""


def sensitivity(built: Built) -> float:
    """The largest difference of PyTorch's history from three that begin with weights changed in the last bits.

    built: in float64
    """
    torchs, *others = (twin(built) for _ in range(4))
    generator = torch.Generator().manual_seed(built.experiment.seed)
    for changed in others:
        change_a_little(changed.net, 1e-15, generator)
    history, *histories = train_in_lockstep(built, [torchs, *others])
    return max(largest_gap(each, history) for each in histories)


def single_steps(built: Built) -> Steps:
    """Take every step of the experiment from equal weights, and compare.

    Where a tensor differs by more than STEP_TOLERANCE, PyTorch takes the step again with every weight changed by a
    tenth of the tolerance: a number that differs as much then, from PyTorch's own result, is decided by rounding.
    """
    setup, found = built.setup, Steps()
    ours, torchs, changed = Ours(setup), twin(built), twin(built)
    generator = torch.Generator().manual_seed(built.experiment.seed)

    def step_again() -> dict[str, Tensor]:
        changed.load(*before)
        change_a_little(changed.net, STEP_TOLERANCE / 10, generator)
        drawn.restore()
        return _result(changed.step(inputs, targets)[0], changed)

    for _ in range(built.experiment.epochs):
        for inputs, targets in setup.batches:
            before = copy.deepcopy((ours.state(), setup.optimizer.state_dict()))
            torchs.load(*before)
            drawn = _random_state([ours])
            (mine, _), (theirs, _) = step_each([ours, torchs], inputs, targets)
            result, reference = _result(mine, ours), _result(theirs, torchs)
            gaps = [relative_difference(value, reference[name]) for name, value in result.items()]
            if max(gaps) > STEP_TOLERANCE:
                after = _random_state([ours])
                spread = {name: torch.zeros_like(x) for name, x in reference.items() if x.is_floating_point()}
                for _ in range(REPEATS):
                    _widen(spread, step_again(), reference)
                after.restore()
                for name, most in spread.items():
                    rounded = result[name].isfinite() & ((result[name] - reference[name]).abs() <= ROUNDINGS * most)
                    reference[name] = torch.where(rounded, result[name], reference[name])
                gaps = [relative_difference(value, reference[name]) for name, value in result.items()]
                found.rounded += max(gaps) <= STEP_TOLERANCE
            found.steps += 1
            found.gap = max(found.gap, *gaps)
        ours.advance("epoch")
        torchs.advance("epoch")
    return found


def change_a_little(net: torch.nn.Module, most: float, generator: torch.Generator) -> None:
    """Change every number of the parameters by chance, by at most this part of it; whole numbers stay."""
    with torch.no_grad():
        for parameter in net.parameters():
            if not (parameter.is_floating_point() or parameter.is_complex()):
                continue
            part = 2 * torch.rand(parameter.shape, generator=generator, dtype=torch.float64) - 1
            parameter.mul_((1 + most * part).to(parameter))


def _widen(spread: dict[str, Tensor], again: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> None:
    """Keep how far each number was at most from that of the reference."""
    for name, most in spread.items():
        torch.maximum(most, (again[name] - reference[name]).abs(), out=most)


def _result(loss: float, contestant: Contestant) -> dict[str, Tensor]:
    """What a step comes to: weights, buffers and, under a name that no tensor has, the loss."""
    return {**contestant.state(), "": torch.tensor(loss, dtype=torch.float64)}


def relative_difference(value: Tensor, reference: Tensor) -> float:
    """|value - reference| / |reference| in the 2-norm; 0 if both are zero, infinite if a value is not finite."""
    precise = torch.complex128 if reference.is_complex() else torch.float64
    difference = float((value.to(precise) - reference.to(precise)).norm())
    if not math.isfinite(difference):
        return math.inf
    return difference / max(float(reference.to(precise).norm()), 1e-30) if difference else 0.0


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
