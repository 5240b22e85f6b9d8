"""The scale of a loss, so that small gradients do not become 0 in float16."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Buffer, Optimizer, StateError
from mytorch.core.compiling import is_compiling
from mytorch.train.clip_gradients import Norm, gradients_of, joint_or
from mytorch.train.errors import NotFiniteError

LARGEST, SMALLEST = 2.0**24, 2.0**-14
GROWTH, BACKOFF, INTERVAL = 2.0, 0.5, 2000


class LossScale:
    """Multiplies the gradients of a backward pass, and is taken out of them before the update.

    Where a gradient is not finite, the update is left out and the scale halved; after 2000 updates in a row it is
    doubled, to 2^24 at most. Python asks whether gradients are finite; in a step that is traced, where it cannot, the
    update is computed and its results are chosen or not.

    held: the scale, the number of updates in a row, and how many were left out, as tensors, which a compiled step
        takes and returns.
    Source:   Micikevicius et al. 2018, "Mixed precision training"; the numbers are those of torch.amp.GradScaler
    """

    def __init__(self, scale: float = 2.0**16) -> None:
        numbers = {"scale": torch.tensor(scale, dtype=torch.float64), "good": torch.tensor(0)}
        self.held = {name: Buffer(value) for name, value in {**numbers, "skipped": torch.tensor(0)}.items()}

    @property
    def factor(self) -> float | Tensor:
        """The scale, by which an upstream gradient is multiplied."""
        scale = self.held["scale"].value
        return scale.float() if is_compiling() else scale.item()

    @property
    def has_updated(self) -> bool:
        """Whether the last update was not left out."""
        return bool(self.held["good"].value)

    def update(self, optimizer: Optimizer, take: Callable[[], None], norm: Norm | None = None) -> None:
        """Divide the gradients by the scale, adapt it, and call `take`, which updates, if they are finite.

        norm: of the gradients, where other processes have some of them.
        Raises NotFiniteError where they are not finite at the smallest scale either.
        """
        grads = gradients_of(optimizer)
        if grads:
            torch._foreach_mul_(grads, 1 / self.factor)
        finite = joint_or(norm, grads).isfinite().cpu()
        self._adapt(finite)
        if is_compiling():
            _choose(finite, optimizer, take)
        elif finite:
            take()
        else:
            self.require_range()

    def require_range(self) -> None:
        """Raise NotFiniteError if gradients were not finite at the smallest scale."""
        if self.held["scale"].value < SMALLEST:
            raise NotFiniteError(
                "float16-mixed: gradients must be finite with a scaled loss, got values that are not at a scale of "
                f"{SMALLEST:g}; lower the learning rate, or use bfloat16-mixed, which has the range of float32"
            )

    def _adapt(self, finite: Tensor) -> None:
        scale, good, skipped = (held.value for held in self.held.values())
        good.copy_(torch.where(finite, good + 1, 0))
        grown = torch.where(good % INTERVAL == 0, (scale * GROWTH).clamp(max=LARGEST), scale)
        scale.copy_(torch.where(finite, grown, scale * BACKOFF))
        skipped.add_((~finite).long())

    def state_dict(self) -> dict[str, Any]:
        """The scale, the updates in a row, and how many were left out."""
        return {name: held.value.item() for name, held in self.held.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there. Raises StateError, with nothing changed, for another state."""
        if state.keys() != self.held.keys():
            found = ", ".join(map(str, state)) or "nothing"
            raise StateError(f"LossScale: state must hold scale, good and skipped, got {found}")
        for name, number in state.items():
            self.held[name].value.fill_(number)


def _choose(finite: Tensor, optimizer: Optimizer, take: Callable[[], None]) -> None:
    """Call `take`, and put values and the optimizer's state back where `finite` is false."""
    before = [
        (parameter, parameter.value.clone(), {name: _copy(held) for name, held in optimizer.state[parameter].items()})
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.grad is not None and parameter.trainable
    ]
    take()
    for parameter, value, state in before:
        parameter.value.copy_(torch.where(finite, parameter.value, value))
        for name, held in state.items():
            if isinstance(held, Tensor):
                optimizer.state[parameter][name] = torch.where(finite, optimizer.state[parameter][name], held)


def _copy(held: Any) -> Any:
    return held.clone() if isinstance(held, Tensor) else held
