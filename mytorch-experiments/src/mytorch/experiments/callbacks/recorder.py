"""The callback that keeps a run: experiment, history, weights, summary and figures."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mytorch.core import describe
from mytorch.experiments.callbacks.boundary_figure import BoundaryFigure
from mytorch.experiments.figures.attempt import attempt
from mytorch.experiments.figures.figures import draw_history
from mytorch.experiments.runs.history_file import HistoryFile
from mytorch.experiments.runs.run_folder import DATA_FILE, HISTORY_FILE, SUMMARY_FILE, RunFolder
from mytorch.plugins import Callback
from mytorch.train.weights import save_model, save_weights

if TYPE_CHECKING:
    from mytorch.train.training import Training

CHECKPOINT_SECONDS = 20.0
"""Between epochs, weights are written at most this often, so that a killed process loses little."""


class Recorder(Callback):
    """Writes everything about one training into its folder, as it happens.

    folder: where a new folder is made when the training starts, named after the model; a line on stderr says which,
        and so does `path`. Or a folder that was made for the run.
    quiet: whether that line is left out.
    path: the run's folder; None before there is one.

    What it raises ends the run: one that cannot be written should not go on for hours.

    Example:
        >>> import tempfile
        >>> from mytorch.data import Disk
        >>> from mytorch.experiments import Recorder, load
        >>> from mytorch.nn import CrossEntropyLoss, Linear, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> recorder, net = Recorder(tempfile.mkdtemp(), quiet=True), Sequential(Linear(2, 2))
        >>> options = {"epochs": 2, "batch_size": 20, "callbacks": [recorder], "quiet": True}
        >>> training = fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.1), Disk(100), **options)
        >>> [record["epoch"] for record in load(recorder.path).history]
        [1, 2]
    """

    must_succeed = True

    def __init__(self, folder: RunFolder | str | Path, quiet: bool = False) -> None:
        self._parent, self._quiet = folder, quiet
        self.path: Path | None = None
        self._history: HistoryFile | None = None
        self._arguments: dict[str, Tensor] = {}
        self._saved = 0.0

    def training_started(self, run: Training) -> None:
        """Write what is known, so that a model that cannot be saved fails now and not after hours."""
        self.path = self._history = None
        self.folder = self._made(run)
        self.path = run.folder = self.folder.path
        self._history = HistoryFile(self.folder.path / HISTORY_FILE, ())
        _, self._arguments = describe(run.net)
        save_model(run.net, self.folder.path)
        self._saved = time.monotonic()
        self.folder.write_json(DATA_FILE, describe_data(run.batches.data))
        self._summarise(run, "running")

    def _made(self, run: Training) -> RunFolder:
        """The folder that was given, or a new one, whose figure of the boundary is drawn as well."""
        if isinstance(self._parent, RunFolder):
            return self._parent
        folder = RunFolder.create(Path(self._parent), type(run.net).__name__.lower())
        run.hooks.add(BoundaryFigure(folder))
        if not self._quiet:
            print(f"The run is kept in {folder.path}", file=sys.stderr)
        return folder

    def epoch_ended(self, run: Training, record: Mapping[str, float]) -> None:
        """Add a line to the history and, now and then, keep the weights."""
        assert self._history is not None  # since the training started
        self._history.columns = ["epoch", "lr", "seconds", *run.columns]
        self._history.add(record)
        if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
            save_weights(run.net, self._arguments, self.folder.path)
            self._saved = time.monotonic()

    def training_ended(self, run: Training) -> None:
        """Keep the weights and draw the figures."""
        try:
            self._finish(run, "finished", run.hooks.stopped)
        except KeyboardInterrupt as error:
            self.training_failed(run, error)
            raise

    def training_failed(self, run: Training, error: BaseException) -> None:
        """Keep what was trained so far and say where it lies and why it ended."""
        if self._history is None:  # it failed before there was a folder, as `error` says
            return
        interrupted = isinstance(error, KeyboardInterrupt)
        reason = "interrupted" if interrupted else f"{type(error).__name__}: {error}"
        self._finish(run, "interrupted" if interrupted else "failed", reason)
        kept = "What was trained so far" if run.history else "No epoch was completed; the run"
        error.add_note(f"{kept} lies in {self.folder.path}")

    def _finish(self, run: Training, status: str, reason: str | None = None) -> None:
        try:
            save_weights(run.net, self._arguments, self.folder.path)
            self._summarise(run, status, reason)
            if run.history:
                with attempt("the figures of the history"):
                    draw_history(run.history, self.folder.figures, self.folder.path.name)
        finally:
            if self._history is not None:
                self._history.close()

    def _summarise(self, run: Training, status: str, reason: str | None = None) -> None:
        summary = {
            **run.notes,
            "status": status,
            "reason": reason,
            "epochs": len(run.history),
            "epochs_planned": run.epochs,
            "seconds": sum(record["seconds"] for record in run.history),
            "last": run.history[-1] if run.history else None,
            "test": run.test_results,
            "loss": type(run.loss).__name__,
            "outputs": getattr(run.loss, "outputs", "scores"),
            "optimizer": repr(run.optimizer),
            "versions": {"torch": torch.__version__, "mytorch-train": version("mytorch-train")},
        }
        self.folder.write_json(SUMMARY_FILE, summary)


def describe_data(data: Any) -> dict[str, Any]:
    """What a data set knows about its rows and what new rows need."""
    classes = getattr(data, "classes", None)
    return {
        "columns": list(getattr(data, "columns", ())),
        "classes": None if classes is None else list(classes),
        "preparation": getattr(data, "preparation", None),
    }
