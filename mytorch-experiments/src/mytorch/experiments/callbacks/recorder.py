"""The callback that keeps a run: experiment, history, weights, summary and figures."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock
from torch import Tensor

from mytorch.core import describe
from mytorch.experiments.callbacks.boundary_figure import BoundaryFigure, kept_epoch
from mytorch.experiments.callbacks.sample_figures import SampleFigures
from mytorch.experiments.figures.attempt import attempt
from mytorch.experiments.figures.figures import draw_history
from mytorch.experiments.runs.digests import FILES, digests
from mytorch.experiments.runs.history_file import HistoryFile
from mytorch.experiments.runs.run_folder import DATA_FILE, EXPERIMENT_FILE, HISTORY_FILE, SETTLED, RunFolder
from mytorch.experiments.runs.run_lock import lock_run, process_of_now
from mytorch.plugins import Callback, counted, one_line
from mytorch.train.checkpoint.checkpoint_file import CHECKPOINT_FILE
from mytorch.train.checkpoint.keeper import EVERY, SOON, Keeper
from mytorch.train.checkpoint.state import version_of_train
from mytorch.train.errors import NotFiniteError, RunError
from mytorch.train.finite import values_finite
from mytorch.train.rules.rule_step import rule_name
from mytorch.train.sealed import SHA256, read_texts
from mytorch.train.weights import EPOCH, WEIGHTS_FILE, save_model, save_weights

if TYPE_CHECKING:
    from mytorch.train.checkpoint.resumption import Resumption
    from mytorch.train.training import Training

CHECKPOINT_SECONDS = 20.0
"""Weights are written after an epoch, at most this often; the checkpoint has those of within an epoch, too."""

UNCHANGED = tuple(name for name in SETTLED if name != EXPERIMENT_FILE)
"""What does not change when a run is resumed; its experiment may get more epochs."""


class Recorder(Callback):
    """Writes everything about one training into its folder, as it happens.

    folder: where a new folder is made when the training starts, named after the model; a line on stderr tells its
        path, and so does `path`. Or a folder that was made for the run.
    quiet: whether that line is left out.
    checkpoint_every: seconds between two checkpoints, from which a run can be resumed: `fit(resume=FOLDER)` continues
        in it.
    experiment: the resolved experiment as TOML, if there is one.
    path: the run's folder; None before there is one.

    An error of the recorder ends the run: a run that cannot be written should not continue for hours.

    Example:
        >>> import tempfile
        >>> from mytorch.data import Disk
        >>> from mytorch.experiments import Recorder, load
        >>> from mytorch.nn import CrossEntropyLoss, Linear, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> folder = tempfile.TemporaryDirectory()
        >>> recorder, net = Recorder(folder.name, quiet=True), Sequential(Linear(2, 2))
        >>> options = {"epochs": 2, "batch_size": 20, "callbacks": [recorder], "quiet": True}
        >>> training = fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.1), Disk(100), **options)
        >>> [record["epoch"] for record in load(recorder.path).history]
        [1, 2]
        >>> folder.cleanup()
    """

    must_succeed = True
    first_process_only = True

    def __init__(
        self,
        folder: RunFolder | str | Path,
        quiet: bool = False,
        checkpoint_every: float = EVERY,
        experiment: str | None = None,
    ) -> None:
        self._parent, self._quiet, self._every, self._experiment = folder, quiet, checkpoint_every, experiment
        self.path: Path | None = None
        self._history: HistoryFile | None = None
        self._lock: FileLock | None = None
        self._arguments: dict[str, Tensor] = {}
        self._next_save = 0.0
        self._saved = 0

    def training_started(self, run: Training) -> None:
        """Write what is known already, so that a model that cannot be saved fails now and not after hours."""
        self.path = self._history = None
        self.folder = self._opened(run)
        self._lock = lock_run(self.folder.path)
        self.path = run.folder = self.folder.path
        run.checkpoint = Keeper(self.folder.path / CHECKPOINT_FILE, self._every)
        if run.resumed is not None:
            self._require_current(run.resumed)
            return
        self._history = HistoryFile(self.folder.path / HISTORY_FILE, ())
        if self._experiment is not None:
            self.folder.write_experiment(self._experiment)
        _, self._arguments = describe(run.net)
        save_model(run.net, self.folder.path, {EPOCH: str(run.complete_epochs)})
        self._saved = run.complete_epochs
        self._next_save = time.monotonic() + SOON
        self.folder.write_json(DATA_FILE, describe_data(run.batches.data))
        self._history.rewrite(())  # what a run that was killed before its first checkpoint left
        self._summarise(run, "running", SETTLED)

    def training_resumed(self, run: Training) -> None:
        """Continue in the folder: write the weights of the checkpoint, and shorten the history to it.

        In this order, so that the weights are never newer than the history.
        """
        assert run.resumed is not None
        self._summarise(run, "running", UNCHANGED)  # no more what the files below are: they need not be as it says
        _, self._arguments = describe(run.net)
        with nullcontext() if run.average is None else run.average.in_place(run):
            self._save(run)
        history = HistoryFile(self.folder.path / HISTORY_FILE, ["epoch", "lr", "seconds", *run.columns])
        ahead = history.rewrite(run.history) - len(run.history)
        note = run.notes["resumed"][-1]
        if ahead > 0:
            note["trained_again"] = ahead
        if not self._quiet:
            print(_told(self.folder.path, note), file=sys.stderr)
        self._history = history
        if self._experiment is not None:
            self.folder.write_experiment(self._experiment)
        self._summarise(run, "running", SETTLED)

    def _require_current(self, resumed: Resumption) -> None:
        """Raise RunError if another process has trained on since the checkpoint was read."""
        if read_texts(resumed.path).get(SHA256) != resumed.digest:
            self._release()
            raise RunError(
                f"{resumed.path}: must be as it was when it was read, got another one: another process has trained on "
                "meanwhile; resume the run again"
            )

    def _opened(self, run: Training) -> RunFolder:
        """The folder that was given, that of the run which is resumed, or a new one.

        The figures of the boundary and of samples are drawn as well, unless a folder was given.
        """
        if isinstance(self._parent, RunFolder):
            return self._parent
        if run.resumed is not None:
            folder = RunFolder.open(run.resumed.path.parent)
        else:
            folder = RunFolder.create(Path(self._parent), type(run.net).__name__.lower())
        run.hooks.add(BoundaryFigure(folder))
        run.hooks.add(SampleFigures(folder))
        if not self._quiet:
            print(f"The run is kept in {folder.path}", file=sys.stderr)
        return folder

    def epoch_ended(self, run: Training, record: Mapping[str, float]) -> None:
        """Add a line to the history and, from time to time, save the weights."""
        assert self._history is not None  # since the training started
        self._history.columns = ["epoch", "lr", "seconds", *run.columns]
        self._history.add(record)
        if time.monotonic() >= self._next_save:
            self._save(run)

    def _save(self, run: Training) -> None:
        save_weights(run.net, self._arguments, self.folder.path, {EPOCH: str(run.complete_epochs)})
        self._next_save = time.monotonic() + CHECKPOINT_SECONDS
        self._saved = run.complete_epochs

    def training_ended(self, run: Training) -> None:
        """Save the weights and draw the figures."""
        try:
            self._finish(run, "finished", run.hooks.stopped)
        except KeyboardInterrupt as error:
            self.training_failed(run, error)
            raise

    def training_failed(self, run: Training, error: BaseException) -> None:
        """Save what was trained so far, and say where it is and why the run ended."""
        if self._history is None:  # it failed before there was a folder, as `error` says
            self._release()
            return
        interrupted = isinstance(error, KeyboardInterrupt)
        reason = (str(error) or "interrupted") if interrupted else f"{type(error).__name__}: {error}"
        try:
            self._finish(run, "interrupted" if interrupted else "failed", reason)
        except Exception as second:  # of the disk, most likely, which may be why the run ended
            error.add_note(f"The end of the run could not be written to {self.folder.path}: {one_line(second)}")
        else:
            kept = "What was trained so far" if run.history else "No epoch was completed; the run"
            error.add_note(f"{kept} lies in {self.folder.path}")
            if not _finite(run):
                of = f"of epoch {self._saved}" if self._saved else "from before the first epoch"
                error.add_note(f"Its weights are those {of}, since the model has values now that are not finite")
        again = self._experiment is not None and not isinstance(error, NotFiniteError)  # which would come again
        if again and (self.folder.path / CHECKPOINT_FILE).is_file():
            error.add_note(f"Resume with: mytorch resume {self.folder.path}")

    def _finish(self, run: Training, status: str, reason: str | None = None) -> None:
        try:
            if status == "finished" or _finite(run):  # where a process was lost, its part of the weights is, too
                self._save(run)
            if self._history is not None:
                self._history.flush()
            self._summarise(run, status, (*SETTLED, HISTORY_FILE, WEIGHTS_FILE, CHECKPOINT_FILE), reason)
            if run.history:
                with attempt("the figures of the history"):
                    draw_history(run.history, self.folder.figures, self.folder.path.name, kept_epoch(run))
            if "pipeline" in run.notes:
                with attempt("the figure of the pipeline"):
                    from mytorch.experiments.figures.pipeline_figure import draw_pipeline  # few runs are by one

                    draw_pipeline(run.notes["pipeline"], self.folder.figures / "pipeline.png", self.folder.path.name)
        finally:
            self._release()
            if self._history is not None:
                self._history.close()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _summarise(self, run: Training, status: str, files: Sequence[str], reason: str | None = None) -> None:
        summary = {
            **run.notes,
            "status": status,
            "reason": reason,
            "process": process_of_now(),
            "epochs": len(run.history),
            "epochs_planned": run.epochs,
            "seconds": sum(record["seconds"] for record in run.history),
            "last": run.history[-1] if run.history else None,
            "test": run.test_results,
            "loss": type(run.loss).__name__,
            "outputs": getattr(run.loss, "outputs", "scores"),
            "optimizer": repr(run.optimizer),
            **({} if (rule := rule_name(run.setup.step)) is None else {"rule": rule}),
            "versions": {"torch": torch.__version__, "mytorch-train": version_of_train()},
            FILES: digests(self.folder.path, files),
        }
        self.folder.write_summary(summary)


def _finite(run: Training) -> bool:
    return values_finite([held.value for held in run.watched])


def _told(path: Path, note: Mapping[str, Any]) -> str:
    """What a user reads when a run goes on."""
    said = f"{path} goes on after {counted(note['epoch'], 'epoch')}"
    if note["batch"]:
        said += f" and {note['batch']} batch{'es' * (note['batch'] != 1)}"
    if "trained_again" in note:
        said += f"; its history has {counted(note['trained_again'], 'epoch')} after it, to be trained again"
    if "differences" in note:
        said += f"; accepted: {'; '.join(note['differences'])}"
    return said


def describe_data(data: Any) -> dict[str, Any]:
    """What a data set knows about its rows and what new rows need."""
    classes = getattr(data, "classes", None)
    return {
        "columns": list(getattr(data, "columns", ())),
        "classes": None if classes is None else list(classes),
        "preparation": getattr(data, "preparation", None),
    }
