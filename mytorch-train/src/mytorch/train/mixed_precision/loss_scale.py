"""The scale of a loss, so that small gradients do not become 0 in float16."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mytorch.core import Optimizer, StateError
from mytorch.train.clip_gradients import gradients_of
from mytorch.train.errors import NotFiniteError

LARGEST, SMALLEST = 2.0**24, 2.0**-14
GROWTH, BACKOFF, INTERVAL = 2.0, 0.5, 2000


class LossScale:
    """Multiplies the gradients of a backward pass, and is taken out of them before the update.

    Where a gradient is not finite, the update is left out and the scale halved; after 2000 updates in a row it is
    doubled, to 2^24 at most.

    scale: the number at this step;  skipped: how many updates were left out.
    Source:   Micikevicius et al. 2018, "Mixed precision training"; the numbers are those of torch.amp.GradScaler
    """

    def __init__(self, scale: float = 2.0**16) -> None:
        self.scale, self.skipped = scale, 0
        self._good = 0

    def take_out(self, optimizer: Optimizer) -> bool:
        """Divide the gradients by the scale, and adapt it. False if they are not finite, and there is no update.

        Raises NotFiniteError where they are not finite at the smallest scale either.
        """
        grads = gradients_of(optimizer)
        if grads:
            torch._foreach_mul_(grads, 1 / self.scale)
        finite = not grads or bool(torch.stack(torch._foreach_norm(grads)).sum().isfinite())
        if finite:
            self._good += 1
            if self._good % INTERVAL == 0:
                self.scale = min(self.scale * GROWTH, LARGEST)
            return True
        if self.scale <= SMALLEST:
            raise NotFiniteError(
                "float16-mixed: gradients must be finite where the loss is scaled down, got others at a scale of "
                f"{self.scale:g}; lower the learning rate, or use bfloat16-mixed, which has the range of float32"
            )
        self.scale, self._good, self.skipped = self.scale * BACKOFF, 0, self.skipped + 1
        return False

    def state_dict(self) -> dict[str, Any]:
        """The scale, and the updates since it has changed."""
        return {"scale": self.scale, "good": self._good, "skipped": self.skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there. Raises StateError, with nothing changed, for another state."""
        if state.keys() != self.state_dict().keys():
            found = ", ".join(map(str, state)) or "nothing"
            raise StateError(f"LossScale: state must hold scale, good and skipped, got {found}")
        self.scale, self._good, self.skipped = state["scale"], state["good"], state["skipped"]
