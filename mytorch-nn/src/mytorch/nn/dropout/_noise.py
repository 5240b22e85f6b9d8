"""What layers share that drop numbers at random."""

from __future__ import annotations

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Module,
    require_floating,
    require_input,
    require_range,
    require_saved,
    require_upstream,
)
from mytorch.nn._tangents import elementwise
from mytorch.plugins import shown

Saved = tuple[torch.Size, Tensor | None]
_NOISE = Tensor | None


class Random(Module):
    """A layer that drops with probability p in training mode, by draws from `generator`, or from torch's."""

    def __init__(self, p: float = 0.5, *, generator: torch.Generator | None = None) -> None:
        require_range(self, "p", p, 0, 1)
        if not isinstance(generator, torch.Generator | None):
            raise ArgumentError(
                f"{type(self).__name__}: generator must be a torch.Generator or None, got {shown(generator)}"
            )
        self.p, self.generator = p, generator


class Noisy(Random):
    """A layer that multiplies by noise, which it draws anew for each forward, and perhaps adds to that."""

    def forward(self, x: Tensor) -> tuple[Tensor, Saved]:
        require_input(self, x)
        self._require_shape(x)
        if not self.training or self.p == 0 or x.numel() == 0:
            return x, (x.shape, None)
        require_floating(self, x)
        if self.p == 1:  # torch draws nothing either
            return torch.zeros_like(x), (x.shape, x.new_zeros(()))
        y, noise = self._drop(x)
        return y, (x.shape, noise)

    def backward(self, d_y: Tensor, saved: Saved) -> Tensor | None:
        require_saved(self, saved, torch.Size, _NOISE)
        shape, noise = saved
        require_upstream(self, d_y, shape, like=noise)
        if not self.input_grad:
            return None
        return d_y if noise is None else d_y * noise

    def _require_shape(self, x: Tensor) -> None:
        """Raise ShapeError for what the layer does not take."""

    def _drop(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Output, and what the upstream gradient is to be multiplied by."""
        raise NotImplementedError

    def _kept(self, empty: Tensor) -> Tensor:
        """The tensor filled: 1 with probability 1 - p, else 0, drawn in the order that it has in memory."""
        return empty.bernoulli_(1 - self.p, generator=self.generator)

    tangent, backward_tangent = elementwise()
