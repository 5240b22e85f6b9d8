"""How far the epoch at hand has come."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from mytorch.train.losses import Losses


class EpochSoFar:
    """An epoch whose batches are being trained on.

    lr: the learning rate at its start.
    batch: so many batches were taken when a checkpoint was.
    seconds: how long it has taken, in all processes that trained on it.
    """

    def __init__(self, losses: Losses, lr: float = math.nan) -> None:
        self.losses, self.lr, self.batch = losses, lr, 0
        self._before, self._started = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._before + time.perf_counter() - self._started

    def state_dict(self) -> dict[str, Any]:
        """All of it, with the sums of the losses."""
        return {"batch": self.batch, "lr": self.lr, "seconds": self.seconds, "losses": self.losses.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.batch, self.lr, self._before = state["batch"], state["lr"], state["seconds"]
        self._started = time.perf_counter()
        self.losses.load_state_dict(state["losses"])
