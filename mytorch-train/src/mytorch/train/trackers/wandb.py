"""Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mytorch.core import ArgumentError
from mytorch.train.trackers.tracker import Setting, Tracker, library

if TYPE_CHECKING:
    from mytorch.train.training import Training

MODES = ("online", "offline", "disabled")
EXIT = {"finished": 0, "interrupted": 130, "failed": 1}


class WandB(Tracker):
    """Write a run to Weights & Biases.

    project: the project that the run belongs to.
    name: what the run is called; None for the name of the folder that a Recorder keeps, or W&B's own choice.
    mode: "online", "offline", which keeps files for `wandb sync`, or "disabled"; None for what W&B is configured to.
    path: the folder in which W&B makes its own folder `wandb`; None for what W&B is configured to use.
    every: the loss of every so many steps is written as `batch_loss`; None for none.
    gradient_norms: whether the norm of each parameter's gradient is written, measured on one batch an epoch.
    run_id: the id of the run in W&B once it has begun.
    Raises MissingRequirementError without the library; install it with the extra `mytorch-train[wandb]`;
        ArgumentError for another mode.

    Example:
        >>> from mytorch.train.trackers import WandB
        >>> WandB("disk", mode="offline").mode
        'offline'
    """

    def __init__(
        self,
        project: str = "mytorch",
        name: str | None = None,
        mode: str | None = None,
        path: str | None = None,
        every: int | None = None,
        gradient_norms: bool = True,
    ) -> None:
        super().__init__(every, gradient_norms)
        if mode is not None and mode not in MODES:
            raise ArgumentError(f"WandB: mode must be one of {', '.join(MODES)}, or None, got {mode!r}")
        self.project, self.name, self.mode, self.path = project, name, mode, path
        self._library = library("WandB", "wandb", "wandb")
        self._run: Any = None

    def begin(self, run: Training, settings: Mapping[str, Setting]) -> None:
        """Begin a run of W&B, or go on with that of an earlier training that is resumed."""
        self._run = self._library.init(
            project=self.project,
            name=self.name or (run.folder.name if run.folder is not None else None),
            mode=self.mode,
            dir=self.path,
            config=dict(settings),
            id=self.run_id,
            resume=None if self.run_id is None else "allow",
            reinit="create_new",
        )
        self.run_id = self._run.id
        self._run.define_metric("*", step_metric="epoch")
        self._run.define_metric("batch_loss", step_metric="batch")

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write the numbers together; "epoch" or "batch" among them says where they belong."""
        self._run.log({**values} if "epoch" in values else {**values, "batch": step})

    def figures(self, paths: Sequence[Path], step: int) -> None:
        """Write the pictures."""
        images = {f"figures/{path.stem}": self._library.Image(str(path)) for path in paths}
        self._run.log({**images, "epoch": step})

    def end(self, status: str) -> None:
        """Close the run with a status of the process that W&B understands."""
        self._run.finish(exit_code=EXIT[status])
