"""The training step of an experiment, or of a run, that is to be explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mytorch.core import require_path
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.figures.plane import Plane, obstacle
from mytorch.experiments.file.build import Built, build, threads
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.file.load_experiment import load_experiment
from mytorch.experiments.runs.run import load
from mytorch.experiments.runs.run_folder import EXPERIMENT_FILE, SUMMARY_FILE
from mytorch.train.drawing import MAP, Drawing
from mytorch.train.errors import RunError
from mytorch.train.explain.explain import explain_setup
from mytorch.train.explain.explanation import Explanation


def explain_experiment(source: str | Path, overrides: Mapping[str, Any] | None = None, batch: int = 1) -> Explanation:
    """A step on a batch of the first epoch, counted from 1: of an experiment with the weights that its seed draws, of
    a run's folder with the weights that it kept and an optimizer that begins anew. Where several batches make one
    step, it is the step of this batch alone.

    Raises ArgumentError for a batch that is not there; RunError and ExperimentError as `load` and `load_experiment`.
    """
    return explain_batches(source, overrides, batch)[0]


def explain_batches(
    source: str | Path, overrides: Mapping[str, Any] | None = None, first: int = 1, count: int = 1
) -> list[Explanation]:
    """The steps on so many batches from the first one on, as `explain_experiment` explains one: each from the same
    weights.
    """
    path = require_path("explain_experiment", "source", source)
    if (path / SUMMARY_FILE).is_file():
        built, weights = _of_run(path, overrides)
    else:
        built, weights = _of_experiment(path, overrides)
    setup, experiment = built.setup, built.experiment
    found = []
    with threads(experiment.threads):
        for batch in range(first, first + count):
            explanation = explain_setup(setup, batch)
            rule = "" if experiment.rule is None else f" by the rule {experiment.rule.type}"
            title = f"{experiment.name}: one training step{rule}, batch {batch} of {len(setup.batches)}, {weights}"
            found.append(replace(explanation, title=title, network=_over_plane(built) or explanation.network))
    return found


def _over_plane(built: Built) -> dict[str, Any] | None:
    """The drawing of a network over the plane of its two inputs; None if it has none."""
    net, data = built.setup.net, built.parts.training
    if obstacle(net, data) is not None:
        return None
    plane = Plane.of(data)
    return Drawing(net, plane.inputs(MAP), plane.names).page()


def _of_experiment(path: Path, overrides: Mapping[str, Any] | None) -> tuple[Built, str]:
    try:
        experiment = load_experiment(path, overrides)
    except ExperimentError as error:
        if path.is_dir() or not path.exists():
            error.add_note(f"A run is a folder with {SUMMARY_FILE}, such as runs/disk-20260101-120000.")
        raise
    return _build(experiment), f"the first weights of seed {experiment.seed}"


def _build(experiment: Experiment) -> Built:
    """The experiment with a batch a step, since one batch is explained."""
    return build(experiment.model_copy(update={"accumulate": 1}))


def _of_run(path: Path, overrides: Mapping[str, Any] | None) -> tuple[Built, str]:
    run = load(path)
    if run.experiment is None:
        raise RunError(
            f"{path}: must have an {EXPERIMENT_FILE} to be explained, got a run trained from Python; "
            "use mytorch.train.explain(run.net, loss, inputs, targets)"
        )
    built = _build(load_experiment(path / EXPERIMENT_FILE, overrides))
    built.setup.net.load_state_dict(run.net.state_dict())
    return built, "the weights that the run kept"
