"""All that a training step changes, so that it can be put back."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Module, Optimizer, Schedule, persistent


@dataclass(frozen=True)
class Snapshot:
    """Weights, buffers, optimizer, schedule and the random state at one moment."""

    values: list[Tensor]
    optimizer: dict[str, Any]
    schedule: dict[str, Any] | None
    random: Tensor

    @classmethod
    def take(cls, net: Module, optimizer: Optimizer, schedule: Schedule | None) -> Snapshot:
        """Copy everything."""
        state = optimizer.state_dict()
        held = {
            number: {name: persistent(value) if isinstance(value, Tensor) else value for name, value in entry.items()}
            for number, entry in state["state"].items()
        }
        groups = [copy.deepcopy(group) for group in state["param_groups"]]
        return cls(
            [persistent(held.value) for _, held in net.named_state()],
            {"state": held, "param_groups": groups},
            schedule.state_dict() if schedule else None,
            torch.get_rng_state(),
        )

    def restore(self, net: Module, optimizer: Optimizer, schedule: Schedule | None) -> None:
        """Put everything back, gradients excepted, which are forgotten."""
        self.restore_weights(net)
        optimizer.load_state_dict(self.optimizer)
        if schedule is not None and self.schedule is not None:
            schedule.load_state_dict(self.schedule)
        torch.set_rng_state(self.random)
        net.zero_grad()

    def restore_weights(self, net: Module) -> None:
        """Put parameters and buffers back."""
        for (_, held), value in zip(net.named_state(), self.values, strict=True):
            held.value.copy_(value)
