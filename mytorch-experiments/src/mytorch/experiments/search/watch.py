"""The callback through which a search follows a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mytorch.plugins import Callback, StopTraining
from mytorch.train.callbacks.monitor import Monitor

if TYPE_CHECKING:
    from mytorch.train.training import Training


class Watch(Callback):
    """Follows one number of the history and ends a run that is not worth going on with.

    hopeless: is told the epoch and the number, and says whether to end the run.
    value: the last number that was measured; None before there is one.
    pruned: whether the run was ended.
    """

    must_succeed = True

    def __init__(self, monitor: str, hopeless: Callable[[int, float], bool]) -> None:
        self.monitor, self.hopeless = Monitor(self, monitor), hopeless
        self.pruned = False

    def training_started(self, run: Training) -> None:
        """Require that the number is measured."""
        self.monitor.start(run)

    def epoch_ended(self, epoch: int, record: Mapping[str, float]) -> None:
        """Tell of the number. Raises StopTraining to end the run."""
        value = record.get(self.monitor.name)
        if value is not None and self.hopeless(epoch, value):
            self.pruned = True
            raise StopTraining(f"{self.monitor.name} of {value:.4g} is worse than that of other trials after {epoch}")
