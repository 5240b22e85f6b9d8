"""Ending a run that gets no better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mytorch.core import ArgumentError
from mytorch.plugins import Callback, StopTraining, shown
from mytorch.train.callbacks.monitor import Monitor

if TYPE_CHECKING:
    from mytorch.train.training import Training


class EarlyStopping(Callback):
    """End the run when a number of the history has not improved for some time.

    monitor: the name of the number, such as "validation_loss" or "train_accuracy"; a metric says whether higher is
        better.
    patience: how many evaluations in a row may bring no improvement; epochs without an evaluation do not count.
    min_delta: by how much a value must be better to count as an improvement.
    Raises ArgumentError for arguments out of range and, before the first step, if the run does not measure `monitor`.

    Example:
        >>> import torch
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import EarlyStopping, fit
        >>> net, data = Sequential(Linear(2, 2)), Disk(100)
        >>> options = {"epochs": 50, "batch_size": 20, "validation": data, "quiet": True}
        >>> stop = EarlyStopping(patience=1, min_delta=10.0)
        >>> training = fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.1), Disk(100), callbacks=[stop], **options)
        >>> len(training.history)
        2
    """

    must_succeed = True

    def __init__(self, monitor: str = "validation_loss", patience: int = 10, min_delta: float = 0.0) -> None:
        if type(patience) is not int or patience < 1:
            raise ArgumentError(f"EarlyStopping: patience must be a whole number of at least 1, got {shown(patience)}")
        self.monitor, self.patience, self.waited = Monitor(self, monitor, min_delta), patience, 0

    def training_started(self, run: Training) -> None:
        """Start without a best value."""
        self.monitor.start(run)
        self.waited = 0

    def state_dict(self) -> dict[str, Any]:
        """The best value so far, and for how many evaluations it has been the best."""
        return {**self.monitor.state_dict(), "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from such a state."""
        self.monitor.load_state_dict(state)
        self.waited = state["waited"]

    def epoch_ended(self, epoch: int, record: Mapping[str, float]) -> None:
        """Count the evaluations without an improvement. Raises StopTraining, with the reason, after too many."""
        improved = self.monitor.improved(epoch, record)
        if improved is None:
            return
        self.waited = 0 if improved else self.waited + 1
        if self.waited >= self.patience:
            best = self.monitor.best
            than = "finite" if best is None else f"better than {best:.4g}, that of epoch {self.monitor.epoch},"
            times = f"{self.waited} evaluation{'s' * (self.waited > 1)}"
            raise StopTraining(f"{self.monitor.name} was not {than} in {times}")
