"""The callbacks that draw the decision boundary of a run whose data have two input columns and classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mytorch.experiments.figures.attempt import attempt
from mytorch.experiments.figures.decision_boundary import Frame, animate_decision_boundary, draw_decision_boundary
from mytorch.experiments.figures.plane import Plane, obstacle
from mytorch.experiments.runs.run_folder import RunFolder
from mytorch.plugins import Callback
from mytorch.train.callbacks.progress import numbers_of

if TYPE_CHECKING:
    from mytorch.train.training import Training

FRAMES = 60
"""An animation has at most so many, evenly spaced: when there are more, every second goes and the step is doubled."""
TITLES = ("test_error_rate", "validation_error_rate", "train_error_rate", "test_loss", "validation_loss", "train_loss")


class BoundaryFigure(Callback):
    """Draws `decision_boundary.png` when a run ends; nothing if there is no boundary in a plane."""

    first_process_only = True

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def training_ended(self, run: Training) -> None:
        """Draw the boundary of the weights that are kept."""
        data, name = run.batches.data, self.folder.path.name
        title = f"{name}, weights of epoch {kept_epoch(run)}" if run.history else name
        with attempt("the decision boundary"):
            if run.history and obstacle(run.net, data) is None:
                path = self.folder.figures / "decision_boundary.png"
                draw_decision_boundary(run.net, data, path, test=run.test, title=title)

    def training_failed(self, run: Training) -> None:
        """Draw the boundary of what was trained so far."""
        self.training_ended(run)


class BoundaryAnimation(Callback):
    """Draws `decision_boundary.gif`: the boundary of the random weights, after epochs, and of the weights kept.

    Its frames are part of a checkpoint, so that the animation of a resumed run is that of one without interruption.
    """

    first_process_only = True

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.plane: Plane | None = None
        self.frames: list[Frame] = []
        self.every = 1

    def state_dict(self) -> dict[str, Any]:
        """The frames so far, and how many epochs lie between two."""
        return {"frames": self.frames, "every": self.every}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after these frames."""
        self.frames, self.every = list(state["frames"]), state["every"]

    def training_started(self, run: Training) -> None:
        """Look at the random weights."""
        if obstacle(run.net, run.batches.data) is None:
            self.plane = Plane.of(run.batches.data)
            self.frames, self.every = [(f"epoch {run.epoch}", self.plane.margins(run.net))], 1

    def epoch_ended(self, run: Training, epoch: int, record: Mapping[str, float]) -> None:
        """Look at the weights of an epoch, now and then: how many epochs there will be is not known."""
        if self.plane is None or epoch % self.every:
            return
        self.frames.append((_title(epoch, record), self.plane.margins(run.net)))
        if len(self.frames) == FRAMES:
            self.frames, self.every = self.frames[::2], 2 * self.every

    def training_ended(self, run: Training) -> None:
        """Add the weights that are kept, and draw."""
        if self.plane is None or not run.history:
            return
        kept = kept_epoch(run)
        record = next(record for record in reversed(run.history) if record["epoch"] <= kept)
        with attempt("the animation of the decision boundary"):
            self.frames.append((f"{_title(kept, record)} (kept)", self.plane.margins(run.net)))
            animate_decision_boundary(self.plane, self.frames, self.folder.figures / "decision_boundary.gif")

    def training_failed(self, run: Training) -> None:
        """Draw what there is."""
        self.training_ended(run)


def kept_epoch(run: Training) -> int:
    """Of which epoch the weights are that a run keeps: the best, if a callback chose it, or the last."""
    epoch: int = run.notes.get("best", {}).get("epoch", run.epoch)
    return epoch


def _title(epoch: int, record: Mapping[str, float]) -> str:
    shown = next(name for name in TITLES if name in record)
    return f"epoch {epoch}: {numbers_of({shown: record[shown]})}"
