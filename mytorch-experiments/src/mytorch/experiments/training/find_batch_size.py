"""The batch size that an experiment, or a run, asks for by the noise of its gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mytorch.core.batch import Batch
from mytorch.experiments.file.build import Built, build, threads
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.file.load_experiment import load_experiment
from mytorch.experiments.runs.run import load
from mytorch.experiments.runs.run_folder import EXPERIMENT_FILE, SUMMARY_FILE
from mytorch.train.errors import RunError
from mytorch.train.parallel import require_alone
from mytorch.train.quantities import NoiseScale, measure_noise
from mytorch.train.setup import Setup

STEPS = 100


@dataclass(frozen=True)
class BatchAdvice:
    """The noise scale of an experiment in the course of its training.

    measured: the noise scale by the number of steps after which it was measured; of a run at its weights, by None.
    rows: of the training part.
    """

    experiment: Experiment
    measured: dict[int | None, NoiseScale]
    rows: int

    @property
    def batch_size(self) -> int:
        """The rows of a step as the experiment has it."""
        return self.experiment.batch_size * self.experiment.accumulate

    @property
    def last(self) -> NoiseScale:
        """What was measured last."""
        return list(self.measured.values())[-1]

    @property
    def suggestion(self) -> int | None:
        """The power of 2 that is nearest to the last noise scale, as far as there are rows; None if there is no
        scale.
        """
        if not math.isfinite(self.last.scale):
            return None
        power: int = 2 ** round(math.log2(max(self.last.scale, 1)))
        return min(power, self.rows)


def find_batch_size(
    source: str | Path, overrides: Mapping[str, Any] | None = None, *, steps: int = STEPS
) -> BatchAdvice:
    """Measure the noise scale: of a run at its weights; of an experiment before, during and after some steps.

    steps: of the experiment's training; it is measured before the first, after a tenth of them and after all.
    Nothing is kept. Raises as `load`, `load_experiment`, building and `measure_noise`.
    """
    require_alone("batch-size")
    if (Path(source) / SUMMARY_FILE).is_file():
        built = _of_run(Path(source), overrides)
        after: list[int | None] = [None]
    else:
        built = build(load_experiment(source, overrides))
        after = sorted({0, steps // 10, steps})  # type: ignore[assignment]
    setup, data = built.setup, built.parts.training
    with threads(built.experiment.threads):
        measured = dict(zip(after, _course(setup, data, after), strict=True))
    return BatchAdvice(built.experiment, measured, len(data))


def _course(setup: Setup, data: Any, after: list[int | None]) -> Iterator[NoiseScale]:
    """The noise scale after each of these numbers of steps."""
    batches, taken = _over_and_over(setup), 0
    for count in after:
        with setup.storing(), torch.inference_mode():
            while taken < (count or 0):
                setup.take_step(*next(batches))
                setup.advance("batch")
                taken += 1
        setup.net.zero_grad()
        yield measure_noise(setup.net, setup.loss, data)


def _over_and_over(setup: Setup) -> Iterator[Batch]:
    while True:
        yield from setup.batches
        setup.advance("epoch")


def _of_run(path: Path, overrides: Mapping[str, Any] | None) -> Built:
    run = load(path)
    if run.experiment is None:
        raise RunError(
            f"{path}: must have an {EXPERIMENT_FILE} that says on which rows to measure, got a run trained from "
            "Python; use mytorch.train.quantities.measure_noise(run.net, loss, data)"
        )
    built = build(load_experiment(path / EXPERIMENT_FILE, overrides))
    built.setup.net.load_state_dict(run.net.state_dict())
    return built
