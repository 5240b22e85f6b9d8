"""What a callback watches: one number of the history, and its best value so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mytorch.core import ArgumentError, metric_name
from mytorch.plugins import shown

if TYPE_CHECKING:
    from mytorch.train.training import Training


class Monitor:
    """The best value of one number of the history; a metric says whether higher is better, a loss is best low.

    owner: the callback, for errors.
    min_delta: by how much a value must be better than the best to take its place.
    best, epoch: the best value so far and its epoch, None before there is one; only a finite value can be it.
    Raises ArgumentError for arguments of another kind.
    """

    def __init__(self, owner: object, name: str, min_delta: float = 0.0) -> None:
        self.owner, self.name, self.min_delta = type(owner).__name__, name, min_delta
        if not isinstance(name, str):
            raise ArgumentError(f'{self.owner}: monitor must be a name such as "validation_loss", got {shown(name)}')
        if isinstance(min_delta, bool) or not isinstance(min_delta, int | float) or not 0 <= min_delta < math.inf:
            raise ArgumentError(f"{self.owner}: min_delta must be a number of at least 0, got {shown(min_delta)}")
        self.best: float | None = None
        self.epoch: int | None = None

    def start(self, run: Training) -> None:
        """Forget what another run brought. Raises ArgumentError if this one does not measure the number."""
        run.watch(self.owner, self.name)
        quantity = self.name.partition("_")[2]
        metric = next((metric for metric in run.metrics if metric_name(metric) == quantity), None)
        self.higher_is_better = metric is not None and self._direction(metric)
        self.best = self.epoch = None

    def state_dict(self) -> dict[str, Any]:
        """The best value so far."""
        return {"best": self.best, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a best value."""
        self.best, self.epoch = state["best"], state["epoch"]

    def _direction(self, metric: Any) -> bool:
        higher: bool | None = getattr(metric, "higher_is_better", None)
        if higher is None:
            raise ArgumentError(
                f"{self.owner}: monitor must be a metric that says whether higher is better, got {shown(self.name)}; "
                f"set higher_is_better to True or False on its metric, {type(metric).__name__}"
            )
        return higher

    def improved(self, epoch: int, record: Mapping[str, float]) -> bool | None:
        """Whether an epoch's value is the best, which it then becomes; None if the epoch was not evaluated."""
        value = record.get(self.name)
        if value is None:
            return None
        gain = math.inf if self.best is None else value - self.best if self.higher_is_better else self.best - value
        if not math.isfinite(value) or not gain > self.min_delta:
            return False
        self.best, self.epoch = value, epoch
        return True
