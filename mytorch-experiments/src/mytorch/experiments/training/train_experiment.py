"""An experiment from start to finish."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from mytorch.core import require_path
from mytorch.data import missing_lines
from mytorch.experiments.callbacks.boundary_figure import BoundaryAnimation, BoundaryFigure
from mytorch.experiments.callbacks.recorder import Recorder
from mytorch.experiments.callbacks.sample_figures import SampleFigures
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.figures.plane import obstacle
from mytorch.experiments.file.build import Built, build, threads, without_split_warnings
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.file.flat import flat
from mytorch.experiments.file.load_experiment import load_experiment, to_toml
from mytorch.experiments.runs.run import Run, load
from mytorch.experiments.runs.run_folder import RunFolder
from mytorch.experiments.tables.model_table import model_of, show_model
from mytorch.experiments.tables.start_table import show_start
from mytorch.experiments.training.to_resume import experiment_of, has_checkpoint, is_finished, to_resume
from mytorch.plugins import Hooks
from mytorch.train.callbacks.progress import Progress
from mytorch.train.make_engine import make_engine
from mytorch.train.training import Training


def train_experiment(
    source: str | Path | Mapping[str, Any] | Experiment,
    overrides: Mapping[str, Any] | None = None,
    *,
    output: str | Path = "runs",
    callbacks: Iterable[object] = (),
    step: Callable[..., Any] | None = None,
    quiet: bool = False,
    trace_hooks: Callable[[str], object] | None = None,
    resume: str | Path | None = None,
    accept_differences: bool = False,
) -> Run:
    """Train an experiment, given by name, file or dict, and keep the run in a new folder below `output`.

    overrides: values by dotted key, such as {"optimizer.lr": 0.05}.
    callbacks: what takes part in this run beside the experiment's own callbacks, as `fit` takes them.
    quiet: print nothing, and warn of no rare classes; a warning of what is wrong is still given.
    step: a training step of your own, as `fit` takes it; the experiment's file does not tell of it.
    trace_hooks: is given a line for each call of a hook: which, whose, how long, and what it raised.
    resume: the folder of a run to go on with instead, from its checkpoint, as if it had never ended; see `resume`.
    accept_differences: go on also with what may change the numbers, such as other versions, threads or data.
    Raises ExperimentError and its kin before anything is written, NotFiniteError and KeyboardInterrupt after
    what was trained is saved.
    """
    experiment = source if isinstance(source, Experiment) else load_experiment(source, overrides)
    folder = None
    if resume is not None:
        folder = to_resume(require_path("train_experiment", "resume", resume), experiment, accept_differences)
    with threads(experiment.threads):
        listeners = Hooks(callbacks, trace=trace_hooks)
        goes_on = folder is not None and has_checkpoint(folder)
        with without_split_warnings() if quiet else nullcontext():
            built = build(experiment, step, start=not goes_on)
        text = to_toml(built.experiment)
        for callback in built.callbacks:
            listeners.add(callback)
        training = start(built, listeners, quiet)
        if folder is None:
            folder = RunFolder.create(require_path("train_experiment", "output", output), experiment.name)
        elif goes_on:
            training.resume(folder.path, accept_differences, finish=not is_finished(folder))
        if experiment.animate:
            listeners.add(BoundaryAnimation(folder))
        listeners.add(BoundaryFigure(folder))
        listeners.add(SampleFigures(folder))
        listeners.add(Recorder(folder, quiet, experiment.checkpoint_every, text))
        if not quiet:
            if built.started is not None:
                show_start(built.started)
            for line in missing_lines(training.batches.data.preparation):
                print(line, file=sys.stderr)
            with suppress(Exception):  # what does not go through the model in evaluation is told by the training
                show_model(model_of(built.setup), stderr=True)
            listeners.add(Progress())
        training.run()
    try:
        return load(folder.path)
    except Exception as error:
        error.add_note(f"The run is finished and lies in {folder.path}")
        raise


def resume(
    run: str | Path, overrides: Mapping[str, Any] | None = None, *, accept_differences: bool = False, **options: Any
) -> Run:
    """Go on with a run in its folder, from its checkpoint, as if it had never ended: the same to the bit.

    overrides: values by dotted key, such as {"epochs": 50}; nothing that decides the steps may change.
    accept_differences: go on also with what may change the numbers, such as other versions, threads or data.
    options: those of `train_experiment`, such as `quiet`.
    Raises RunError for a run that cannot be resumed, such as a finished one whose epochs do not grow.
    """
    folder = RunFolder(require_path("resume", "run", run))
    return train_experiment(
        experiment_of(folder), overrides, resume=folder.path, accept_differences=accept_differences, **options
    )


def start(built: Built, hooks: Hooks, quiet: bool = True) -> Training:
    """The training of what was built, not yet begun.

    Raises ExperimentError for an animation of what has no plane, and what those of the experiment's callbacks raise at
    a start whose failure ends a run: they are told of it once before anything is written.
    """
    if built.experiment.animate and (found := obstacle(built.setup.net, built.parts.training)):
        raise ExperimentError(f"animate: must be left out unless data have two columns and classes, got {found}")
    training = Training(
        built.setup,
        epochs=built.experiment.epochs,
        validation=built.parts.validation,
        test=built.parts.test,
        metrics=built.metrics,
        evaluate_every=built.experiment.evaluate_every,
        hooks=hooks,
        engine=make_engine(built.experiment.engine, quiet),
    )
    training.settings = dict(flat(built.experiment.model_dump(exclude_none=True, by_alias=True)))
    strict = [callback for callback in built.callbacks if getattr(callback, "must_succeed", False) is True]
    Hooks(strict, installed=False).notify("training_started", run=training)
    training.average = None
    return training
