"""The learning-rate range test of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mytorch.experiments.file.build import build, threads
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.file.load_experiment import load_experiment
from mytorch.train.lr_range import END, START, STEPS, LRRange, range_of
from mytorch.train.parallel import require_alone


def find_rate(
    source: str | Path | Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    *,
    start: float = START,
    end: float = END,
    steps: int = STEPS,
) -> tuple[Experiment, LRRange]:
    """The experiment and what its range test found, from the weights that its seed draws and without its schedule.

    Raises ExperimentError as `load_experiment` and building do, ArgumentError as `lr_range_test` does.
    """
    require_alone("lr-find")
    experiment = load_experiment(source, overrides)
    with threads(experiment.threads):
        setup = replace(build(experiment).setup, schedule=None)
        return experiment, range_of(setup, start, end, steps)
