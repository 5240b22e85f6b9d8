"""Keeping the weights of the best epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mytorch.core import persistent
from mytorch.plugins import Callback, hookimpl
from mytorch.train.callbacks.monitor import Monitor

if TYPE_CHECKING:
    from mytorch.train.training import Training


class KeepBest(Callback):
    """Give the net the parameters and buffers of its best epoch when the run ends, for whatever reason.

    monitor: the number of the history that decides which epoch is the best, such as "validation_loss" or
        "train_accuracy"; a metric says whether higher is better, and the first of equal values wins.
    Raises ArgumentError, before the first step, if the run does not measure `monitor`.

    It keeps one copy of the weights, in memory, or on disk if the weights of the training lie there. The optimizer's
    state is not restored. The run's summary names the epoch.
    summary: {"best": {"epoch": 7, "monitor": "validation_loss", "value": 0.1}}.

    Example:
        >>> import torch
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import KeepBest, fit
        >>> net, data = Sequential(Linear(2, 2)), Disk(100)
        >>> options = {"epochs": 3, "batch_size": 20, "validation": data, "quiet": True}
        >>> training = fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.1), data, callbacks=[KeepBest()], **options)
        >>> sorted(training.notes["best"])
        ['epoch', 'monitor', 'value']
    """

    must_succeed = True

    def __init__(self, monitor: str = "validation_loss") -> None:
        self.monitor = Monitor(self, monitor)
        self.values: list[Tensor] = []

    def training_started(self, run: Training) -> None:
        """Start without a best value."""
        self.monitor.start(run)
        self.values = []

    def state_dict(self) -> dict[str, Any]:
        """The best value so far, and the weights of its epoch."""
        return {**self.monitor.state_dict(), "values": self.values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from such a state."""
        self.monitor.load_state_dict(state)
        self.values = list(state["values"])

    def epoch_ended(self, run: Training, epoch: int, record: Mapping[str, float]) -> None:
        """Copy the weights if they are the best so far."""
        if self.monitor.improved(epoch, record):
            self.values = [persistent(held.value) for held in run.setup.tensors]
            run.notes["best"] = {"epoch": epoch, "monitor": self.monitor.name, "value": self.monitor.best}

    def training_closing(self, run: Training) -> None:
        """Restore the best weights."""
        for held, value in zip(run.setup.tensors, self.values, strict=False):
            held.value.copy_(value)
        self.values = []

    @hookimpl(tryfirst=True)  # the recorder saves what is there then
    def training_failed(self, run: Training) -> None:
        """Restore the best weights, also after Ctrl-C."""
        self.training_closing(run)
