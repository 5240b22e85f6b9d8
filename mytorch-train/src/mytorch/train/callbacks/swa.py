"""Stochastic weight averaging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mytorch.core import ArgumentError
from mytorch.plugins import shown
from mytorch.train.batches import Batches
from mytorch.train.callbacks.weight_average import WeightAverage
from mytorch.train.update_bn import update_bn

if TYPE_CHECKING:
    from mytorch.train.training import Training


class SWA(WeightAverage):
    """Evaluate and keep the mean of the weights over the last epochs (stochastic weight averaging).

    Formula:  a = a + (p - a) / (count + 1), at the end of each epoch from `start` on
    start: the first epoch that is averaged, by its number, or the share of the run's epochs before it.
    use_buffers: whether buffers are averaged as well. If not, the running statistics of batch normalisation are
        computed again for the averaged weights, by `update_bn` on the training part: one more forward pass over it in
        each averaged epoch.
    Raises ArgumentError for a start that leaves no epoch, and together with another average of weights.
    Source:   Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization"; as
              torch.optim.swa_utils.AveragedModel

    The evaluation on the validation and the test part, KeepBest, EarlyStopping and the files of a run use the average
    as soon as there is one, and the net has it at the end of the run; the optimizer's state stays that of the trained
    weights. The schedule SWALR brings the learning rate to the constant value that the method needs.

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import SWA, fit
        >>> net, options = Linear(2, 2), {"epochs": 8, "batch_size": 20, "quiet": True, "callbacks": [SWA(0.5)]}
        >>> training = fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.1), Disk(100), **options)
        >>> training.notes["average"]
        {'of': 'SWA', 'updates': 4}
    """

    def __init__(self, start: int | float = 0.8, use_buffers: bool = False) -> None:
        share, number = type(start) is float and 0 <= start < 1, type(start) is int and start >= 1
        if not (share or number):
            raise ArgumentError(
                "SWA: start must be a share of the epochs of at least 0.0 and below 1.0, or the number of an epoch of "
                f"at least 1, got {shown(start)}"
            )
        super().__init__(None, use_buffers)
        self.start = start
        self._first = 1
        self._statistics: list[Tensor] = []

    def training_started(self, run: Training) -> None:
        """Start with an empty average."""
        super().training_started(run)
        self._statistics = []
        of_run = run.epoch + int(self.start * run.epochs) + 1
        self._first = of_run if isinstance(self.start, float) else self.start
        if run.epochs and self._first > run.last_epoch:
            raise ArgumentError(
                f"SWA: start must leave an epoch to average, got {self.start} in a run of epochs {run.epoch + 1} to "
                f"{run.last_epoch}"
            )

    def state_dict(self) -> dict[str, Any]:
        """The average so far, the first averaged epoch, and the running statistics that belong to the average."""
        return {**super().state_dict(), "first": self._first, "statistics": self._statistics}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from such a state."""
        super().load_state_dict(state)
        self._first, self._statistics = state["first"], list(state["statistics"])

    def epoch_trained(self, epoch: int) -> None:
        """Update the mean with the weights after this epoch."""
        if epoch >= self._first:
            self.update()

    def prepare(self, run: Training) -> None:
        """Compute the running statistics of batch normalisation for the averaged weights."""
        if not self.use_buffers:
            update_bn(run.net, Batches(run.batches.data, run.batches.batch_size))
            self._statistics = [held.value.clone() for _, held in run.net.named_buffer()]

    def keep(self, run: Training) -> None:
        """Give the net the average permanently, with the statistics that belong to it."""
        super().keep(run)
        for (_, held), value in zip(run.net.named_buffer(), self._statistics, strict=False):
            held.value.copy_(value)
        self._statistics = []
