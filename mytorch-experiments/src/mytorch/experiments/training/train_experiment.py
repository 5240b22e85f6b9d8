"""An experiment from start to finish."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

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
from mytorch.train.parallel import Processes, join
from mytorch.train.training import Training

_FOLDER = "folder of the run"
_OWN = ("name", "description", "checkpoint_every", "threads", "device", "data", "requires")
"""Keys of an experiment that may differ from process to process. Devices and rows of the data are compared later."""
T = TypeVar("T")


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
    """Train an experiment, given by name, file or dict, and keep the run in a new folder in `output`.

    overrides: values by dotted key, such as {"optimizer.lr": 0.05}.
    callbacks: objects whose hooks this run calls in addition to the experiment's own callbacks, as in `fit`.
    quiet: print nothing, and do not warn of rare classes; warnings of mistakes are still given.
    step: a training step of your own, as in `fit`; it is not part of the experiment's file.
    trace_hooks: is called with a line for each call of a hook: the hook, its callback, the time, and the exception.
    resume: the folder of a run to continue from its checkpoint instead, as if it had never ended; see `resume`.
    accept_differences: continue even if something differs that may change the numbers, such as versions, threads or
        data.
    If torchrun started several processes, each of them calls this, and reads the run that the first one wrote.
    Raises ExperimentError, or another error about the experiment, before anything is written; NotFiniteError and
    KeyboardInterrupt after what was trained was saved.
    """
    path = train_in_folder(
        source,
        overrides,
        output=output,
        callbacks=callbacks,
        step=step,
        quiet=quiet,
        trace_hooks=trace_hooks,
        resume=resume,
        accept_differences=accept_differences,
    )
    return load_trained(path)


def load_trained(path: Path) -> Run:
    """The run in a folder in which it has just ended."""
    try:
        return load(path)
    except Exception as error:
        error.add_note(f"The run is finished and lies in {path}")
        raise


def train_in_folder(
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
) -> Path:
    """As `train_experiment`, and return the run's folder, which need not lie on a disk that this process can read.

    Each of several processes that torchrun has started calls this; the first one makes the folder. When torchrun
    starts them again, they go on with the run that they began, from its checkpoint.
    """
    asked = None if resume is None else require_path("train_experiment", "resume", resume)
    output = require_path("train_experiment", "output", output)
    with ExitStack() as within:
        processes = within.enter_context(join())  # first, so that the others are told what is wrong with a file here
        experiment = source if isinstance(source, Experiment) else load_experiment(source, overrides)
        require_same_experiment(processes, experiment)
        within.enter_context(threads(experiment.threads))
        begun = _of_first(processes, lambda: _begun(asked, experiment, accept_differences, processes))
        goes_on = begun is not None and begun.has_checkpoint
        listeners = Hooks(callbacks, trace=trace_hooks)
        told = not quiet and (processes is None or processes.first)
        with nullcontext() if told else without_split_warnings():
            built = build(experiment, step, start=not goes_on, parallel=processes)
        for callback in built.callbacks:
            listeners.add(callback)
        training = start(built, listeners, not told, processes)
        folder = RunFolder(_of_first(processes, lambda: _folder(begun, output, experiment, processes)))
        if begun is not None and goes_on:
            training.resume(folder.path, accept_differences, finish=begun.unfinished)
        _listen(training, built, folder, told)
        training.run()
    return folder.path


def require_same_experiment(processes: Processes | None, experiment: Experiment) -> None:
    """Raise RankError, on every process, where one has another experiment than the first."""
    if processes is not None:
        settings = flat(experiment.model_dump(exclude_none=True, by_alias=True))
        processes.require_same({key: value for key, value in settings if key.split(".")[0] not in _OWN})


class _Begun(NamedTuple):
    """A run that is to go on.

    unfinished: whether what comes after the last epoch is done once more where no epoch is left.
    """

    path: Path
    has_checkpoint: bool
    unfinished: bool


def _begun(asked: Path | None, experiment: Experiment, accept: bool, processes: Processes | None) -> _Begun | None:
    """The run that was asked for, or that these processes began before torchrun started them again.

    One of them may have been killed after the run was finished: then all of them finish it once more.
    """
    before = None if processes is None else processes.recall(_FOLDER)
    if asked is None and before is not None:
        asked = Path(before) if has_checkpoint(RunFolder(Path(before))) else None
    if asked is None:
        return None
    folder = to_resume(asked, experiment, accept)
    return _Begun(folder.path, has_checkpoint(folder), before is not None or not is_finished(folder))


def _folder(begun: _Begun | None, output: Path, experiment: Experiment, processes: Processes | None) -> Path:
    """The folder of the run, which the processes find again if torchrun starts them again."""
    path = RunFolder.create(output, experiment.name).path if begun is None else begun.path
    if processes is not None:
        processes.remember(_FOLDER, str(path.absolute()))
    return path


def _listen(training: Training, built: Built, folder: RunFolder, told: bool) -> None:
    """Let the run be kept in its folder and, if told, shown on the terminal."""
    listeners, experiment = training.hooks, built.experiment
    if experiment.animate:
        listeners.add(BoundaryAnimation(folder))
    listeners.add(BoundaryFigure(folder))
    listeners.add(SampleFigures(folder))
    listeners.add(Recorder(folder, not told, experiment.checkpoint_every, to_toml(experiment)))
    if not told:
        return
    if built.started is not None:
        show_start(built.started)
    for line in missing_lines(training.batches.data.preparation):
        print(line, file=sys.stderr)
    with suppress(Exception):  # what does not go through the model in evaluation is told by the training
        show_model(model_of(built.setup), stderr=True)
    listeners.add(Progress())


def _of_first(processes: Processes | None, make: Callable[[], T]) -> T:
    """What the first process makes, on all of them."""
    return make() if processes is None else processes.from_first(make)


def resume(
    run: str | Path, overrides: Mapping[str, Any] | None = None, *, accept_differences: bool = False, **options: Any
) -> Run:
    """Continue a run from its checkpoint, in its folder, as if it had never ended, with the same results to the bit.

    overrides: values by dotted key, such as {"epochs": 50}; nothing that affects the steps may change.
    accept_differences: continue even if something differs that may change the numbers, such as versions, threads or
        data.
    options: those of `train_experiment`, such as `quiet`.
    Raises RunError for a run that cannot be resumed, such as a finished one whose epochs do not grow.
    """
    folder = RunFolder(require_path("resume", "run", run))
    return train_experiment(
        experiment_of(folder), overrides, resume=folder.path, accept_differences=accept_differences, **options
    )


def start(built: Built, hooks: Hooks, quiet: bool = True, parallel: Processes | None = None) -> Training:
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
        parallel=parallel,
    )
    training.settings = dict(flat(built.experiment.model_dump(exclude_none=True, by_alias=True)))
    strict = [callback for callback in built.callbacks if getattr(callback, "must_succeed", False) is True]
    Hooks(strict, installed=False).notify("training_started", run=training)
    training.average = None
    return training
