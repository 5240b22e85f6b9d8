"""All that a training step changes, so that it can be put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Buffer, Optimizer, Parameter, Schedule

Held = Parameter | Buffer


@dataclass(frozen=True)
class Snapshot:
    """Weights, buffers, optimizer, schedule and the random state at one moment."""

    values: list[Tensor]
    optimizer: dict[str, Any]
    schedule: dict[str, Any] | None
    random: Tensor

    @classmethod
    def take(cls, tensors: Sequence[Held], optimizer: Optimizer, schedule: Schedule | None) -> Snapshot:
        """Copy everything."""
        return cls(
            [held.value.clone() for held in tensors],
            _copy(optimizer.state_dict()),
            schedule.state_dict() if schedule else None,
            torch.get_rng_state(),
        )

    def restore(self, tensors: Sequence[Held], optimizer: Optimizer, schedule: Schedule | None) -> None:
        """Put everything back; gradients are forgotten."""
        for held, value in zip(tensors, self.values, strict=True):
            held.value.copy_(value)
        optimizer.zero_grad()
        optimizer.load_state_dict(self.optimizer)
        if schedule is not None and self.schedule is not None:
            schedule.load_state_dict(self.schedule)
        torch.set_rng_state(self.random)


def _copy(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {name: _copy(value) for name, value in state.items()}
    return [_copy(value) for value in state] if isinstance(state, list) else state
