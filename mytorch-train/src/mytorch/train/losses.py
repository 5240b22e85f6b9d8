"""The losses of an epoch: their mean, and the look at them that stops a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from mytorch.core import Module
from mytorch.train.mean_loss import MeanLoss, Weight, sums

LOOK_EVERY = 100
"""Away from the processor, so many batches pass between two looks: each waits until the device is through."""


class Losses(Protocol):
    """The losses of an epoch so far. A batch of weight 0 counts for nothing, whatever its value."""

    def add(self, value: Tensor, weight: Weight) -> float | None:
        """Take in a batch's. Returns a loss, or a sum of losses, that was looked at and is not finite."""

    def look(self) -> float | None:
        """Look at what was not looked at yet; returns what `add` returns."""

    def mean(self) -> float:
        """The mean over the batches so far, as MeanLoss computes it."""

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from sums that `state_dict` gave."""


def losses_of(loss: Module, device: torch.device) -> Losses:
    """For the losses of an epoch that are computed on a device."""
    return Numbers(loss) if device.type == "cpu" else Sums(loss, device)


class Numbers:
    """Each loss is looked at when it comes, as is free on the processor."""

    def __init__(self, loss: Module) -> None:
        self._mean = MeanLoss(loss)

    def add(self, value: Tensor, weight: Weight) -> float | None:
        """Take in a batch's loss. Returns it if it is not finite."""
        amount = value.item()
        self._mean.add(amount, weight)
        return None if math.isfinite(amount) or weight == 0 else amount

    def look(self) -> float | None:
        """Every loss was looked at."""
        return None

    def mean(self) -> float:
        """The mean so far."""
        return self._mean.compute()

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        return self._mean.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from these sums."""
        self._mean.load_state_dict(state)


class Sums:
    """Losses and weights are summed where they are, and the sum of the losses is looked at now and then."""

    def __init__(self, loss: Module, device: torch.device) -> None:
        widest = torch.float32 if device.type == "mps" else torch.float64  # mps has no other
        self._loss, self._sums, self._batches = loss, sums(loss), 0
        self._total = torch.zeros((), dtype=widest, device=device)
        self._weight = torch.zeros_like(self._total)

    def add(self, value: Tensor, weight: Weight) -> float | None:
        """Take in a batch's loss. Returns the sum at every so many batches, if it is not finite."""
        part = value.to(self._total.dtype)
        part = part if self._sums else part * weight
        if isinstance(weight, Tensor):
            part = torch.where(weight == 0, 0.0, part)
        if isinstance(weight, Tensor) or weight != 0:
            self._total += part
            self._weight += weight
        self._batches += 1
        return self.look() if self._batches % LOOK_EVERY == 0 else None

    def look(self) -> float | None:
        """The sum so far if it is not finite."""
        total = self._total.item()
        return None if math.isfinite(total) else total

    def mean(self) -> float:
        """The mean so far."""
        mean = MeanLoss(self._loss)
        weight = self._weight.item()
        mean.add(self._total.item() / (1.0 if self._sums or not weight else weight), weight)
        return mean.compute()

    def state_dict(self) -> dict[str, Any]:
        """The sums so far, as numbers."""
        return {"total": self._total.item(), "weight": self._weight.item(), "batches": self._batches}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from these sums; those of the processor have no count of batches."""
        self._total.fill_(state["total"])
        self._weight.fill_(state["weight"])
        self._batches = state.get("batches", 0)
