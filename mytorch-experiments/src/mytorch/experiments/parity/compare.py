"""The report's comparison, made sound: ours and PyTorch from the same random weights."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mytorch.experiments.errors import ParityError
from mytorch.experiments.file.build import Built, build, threads
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.parity.contestant import Contestant, Ours
from mytorch.experiments.parity.lockstep import (
    ROUNDINGS,
    STEP_TOLERANCE,
    History,
    Steps,
    largest_gap,
    sensitivity,
    single_steps,
    train_in_lockstep,
    twin,
)
from mytorch.experiments.runs.columns import PARTS

EPOCH_TOLERANCE = 1e-10
"""In float64, absolute, for the loss and every metric of an epoch."""
WIDEST_TOLERANCE = 1e-7
"""The same where training amplifies rounding."""


@dataclass(frozen=True)
class SeedResult:
    """What one seed showed."""

    seed: int
    epoch_gap: float
    """The largest difference of an epoch's loss or metric in float64."""
    sensitivity: float
    """The same between PyTorch and PyTorch with weights changed in the last bits; 0 where nobody needs to know."""
    steps: Steps
    """How far single steps in float32 differ."""
    ours: History
    """The whole run in float32."""
    torchs: History
    control: History
    """PyTorch again, with another of its own kernels for the update."""

    @property
    def passed(self) -> bool:
        """Whether both gaps are within tolerance."""
        return self.epoch_gap <= self.epoch_tolerance and self.steps.gap <= STEP_TOLERANCE

    @property
    def epoch_tolerance(self) -> float:
        """How large the gap of an epoch may be: EPOCH_TOLERANCE, or more where training amplifies rounding."""
        return min(max(EPOCH_TOLERANCE, ROUNDINGS * self.sensitivity), WIDEST_TOLERANCE)

    @property
    def run_gap(self) -> float:
        """The largest difference of a training loss over the whole float32 run."""
        return largest_gap(self.ours, self.torchs, ["train_loss"])

    @property
    def control_gap(self) -> float:
        """The same between PyTorch and PyTorch with another of its own kernels."""
        return largest_gap(self.control, self.torchs, ["train_loss"])


@dataclass
class Comparison:
    """What all seeds of an experiment showed."""

    experiment: Experiment
    built: Built
    seeds: list[SeedResult] = field(default_factory=list)
    left_out: str | None = None
    """The learning rule of the experiment, in whose place both backpropagate."""

    @property
    def passed(self) -> bool:
        """Whether every seed is within tolerance."""
        return all(result.passed for result in self.seeds)

    @property
    def quantity(self) -> str:
        """What the table judges: the error rate if it is a metric, else the first metric, else the loss."""
        columns, judged = self.seeds[0].ours[-1], f"{self._part}_"
        names = [name.removeprefix(judged) for name in columns if name.startswith(judged)]
        return "error_rate" if "error_rate" in names else names[-1]

    @property
    def judged(self) -> str:
        """The column of the history that the table judges: on the test part, or else on what there is."""
        return f"{self._part}_{self.quantity}"

    @property
    def _part(self) -> str:
        return next(part for part in reversed(PARTS) if f"{part}_loss" in self.seeds[0].ours[-1])

    def finals(self) -> dict[str, list[float]]:
        """The judged quantity after the last epoch, one value a seed, for each framework."""
        return {
            "mytorch": [result.ours[-1][self.judged] for result in self.seeds],
            "PyTorch": [result.torchs[-1][self.judged] for result in self.seeds],
        }


def compare(
    experiment: Experiment, runs: int = 1, on_seed: Callable[[SeedResult], Any] = lambda _result: None
) -> Comparison:
    """Compare an experiment with its PyTorch twin, for `runs` seeds from the experiment's on.

    A learning rule is left out, of which PyTorch has no twin: all the rest is compared, and the comparison says so.
    Raises ParityError if there is no twin, and for another device than the cpu.
    """
    rule = None if experiment.rule is None else experiment.rule.type
    experiment = experiment.model_copy(update={"rule": None})
    if experiment.device not in ("cpu", "auto"):
        raise ParityError(
            f"parity: device must be cpu, where both compute in one order, got {experiment.device!r}; "
            "write --set device=cpu"
        )
    with threads(experiment.threads):
        comparison = Comparison(experiment, _build(experiment, experiment.seed, "float32"), left_out=rule)
        for seed in range(experiment.seed, experiment.seed + runs):
            comparison.seeds.append(compare_seed(experiment, seed))
            on_seed(comparison.seeds[-1])
    return comparison


def compare_seed(experiment: Experiment, seed: int) -> SeedResult:
    """Compare one seed in three ways."""
    double = _build(experiment, seed, "float64")
    in_double: list[Contestant] = [Ours(double.setup), twin(double)]
    exact = train_in_lockstep(double, in_double)
    epoch_gap = largest_gap(exact[0], exact[1])
    sensitive = sensitivity(_build(experiment, seed, "float64")) if epoch_gap > EPOCH_TOLERANCE else 0.0
    steps = single_steps(_build(experiment, seed, "float32"))
    single = _build(experiment, seed, "float32")
    in_single: list[Contestant] = [
        Ours(single.setup),
        twin(single, fused=False),
        twin(single, "PyTorch fused", fused=True),
    ]
    ours, torchs, control = train_in_lockstep(single, in_single)
    return SeedResult(seed, epoch_gap, sensitive, steps, ours, torchs, control)


def _build(experiment: Experiment, seed: int, dtype: str) -> Built:
    return build(experiment.model_copy(update={"seed": seed, "dtype": dtype, "device": "cpu"}))


def summarise(values: list[float]) -> dict[str, float]:
    """Mean, standard deviation (of a sample, 0 for one value), median and worst."""
    return {
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values) if len(values) > 1 else 0.0,
        "median": statistics.median(values),
        "worst": max(values),
    }
