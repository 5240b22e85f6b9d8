"""MLflow."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mytorch.train.trackers.tracker import Setting, Tracker, library

if TYPE_CHECKING:
    from mytorch.train.training import Training

STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
LONGEST = 500
"""Longer values of settings are cut, as some of MLflow's stores refuse them."""
TOGETHER = 100
"""A request to MLflow holds at most so many settings."""


class MLflow(Tracker):
    """Write a run to MLflow.

    experiment: the experiment of MLflow that the run belongs to; it is made if it is not there.
    name: what the run is called; None for the name of the folder that a Recorder keeps, or MLflow's own choice.
    uri: the tracking server, or where files are kept; None for what MLflow is configured to use.
    every: the loss of every so many steps is written as `batch_loss`; None for none.
    gradient_norms: whether the norm of each parameter's gradient is written, measured on one batch an epoch.
    run_id: the id of the run in MLflow once it has begun.
    Raises MissingRequirementError without the library; install it with the extra `mytorch-train[mlflow]`.

    Example:
        >>> from mytorch.train.trackers import MLflow
        >>> tracker = MLflow("disk", uri="sqlite:///mlflow.db")
        >>> tracker.experiment
        'disk'
    """

    def __init__(
        self,
        experiment: str = "mytorch",
        name: str | None = None,
        uri: str | None = None,
        every: int | None = None,
        gradient_norms: bool = True,
    ) -> None:
        super().__init__(every, gradient_norms)
        self.experiment, self.name, self.uri = experiment, name, uri
        self._library = library("MLflow", "mlflow", "mlflow")
        self._client: Any = None

    def begin(self, run: Training, settings: Mapping[str, Setting]) -> None:
        """Make a run of MLflow, or go on with that of an earlier training that is resumed."""
        self._client = self._library.MlflowClient(tracking_uri=self.uri)
        if self.run_id is not None:
            self._client.update_run(self.run_id, status="RUNNING")
            return
        known = self._client.get_experiment_by_name(self.experiment)
        number = self._client.create_experiment(self.experiment) if known is None else known.experiment_id
        name = self.name or (run.folder.name if run.folder is not None else None)
        self.run_id = self._client.create_run(number, run_name=name).info.run_id
        made = [self._library.entities.Param(key, str(value)[:LONGEST]) for key, value in settings.items()]
        for first in range(0, len(made), TOGETHER):
            self._client.log_batch(self.run_id, params=made[first : first + TOGETHER])

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write the numbers together, in one request."""
        now, metric = int(time.time() * 1000), self._library.entities.Metric
        made = [metric(name, value, now, step) for name, value in values.items() if name != "epoch"]
        self._client.log_batch(self.run_id, metrics=made)

    def figures(self, paths: Sequence[Path], step: int) -> None:  # noqa: ARG002 - a file of a run has no step
        """Keep the pictures as artifacts."""
        for path in paths:
            self._client.log_artifact(self.run_id, str(path), "figures")

    def end(self, status: str) -> None:
        """Say how the run ended."""
        self._client.set_terminated(self.run_id, STATUS[status])
