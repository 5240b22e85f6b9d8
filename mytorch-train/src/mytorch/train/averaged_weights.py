"""The average of a model's weights over training steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Buffer, Module, Parameter, StateError, persistent
from mytorch.plugins import shown


class AveragedWeights:
    """An average of the parameters of a net, updated by each call of `update`.

    Formula:  a = p at the first update; then
              decay None:  a = a + (p - a) / (count + 1), the mean over all updates
              else:        a = decay * a + (1 - decay) * p, an exponential moving average
    net: the module whose parameters are averaged; they are read again at each update.
    decay: of the moving average, between 0 and 1; None for the mean.
    use_buffers: whether buffers, such as the running statistics of BatchNorm1d, are averaged as well; if not, they
        stay those of the net, and `update_bn` computes them for averaged weights.
    count: the number of updates so far.
    Raises ArgumentError for a decay outside of its range.
    Source:   Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging"; as
              torch.optim.swa_utils.AveragedModel

    Example:
        >>> from mytorch.nn import Linear
        >>> from mytorch.train import AveragedWeights
        >>> net = Linear(1, 1, bias=False)
        >>> average = AveragedWeights(net)
        >>> for weight in (1.0, 2.0, 6.0):
        ...     _ = net.weight.value.fill_(weight)
        ...     average.update()
        >>> with average.in_place():
        ...     print(net.weight.value.item())
        3.0
        >>> net.weight.value.item()
        6.0
    """

    def __init__(self, net: Module, decay: float | None = None, use_buffers: bool = False) -> None:
        if decay is not None and not (type(decay) in (int, float) and 0 <= decay <= 1):
            raise ArgumentError(
                f"AveragedWeights: decay must be a number between 0 and 1, or None, got {shown(decay)}"
            )
        self.net, self.decay, self.use_buffers = net, decay, use_buffers
        kinds = (Parameter, Buffer) if use_buffers else Parameter
        self.held = [held for held in dict.fromkeys(h for _, h in net.named_state()) if isinstance(held, kinds)]
        self.count = 0
        self._averages: list[Tensor] = []

    @property
    def averages(self) -> list[tuple[Parameter | Buffer, Tensor]]:
        """Each parameter or buffer with its average, if there was an update."""
        return list(zip(self.held, self._averages, strict=False))

    def state_dict(self) -> dict[str, Any]:
        """The number of updates and the averages, in the order of the net's parameters (and buffers)."""
        return {"count": self.count, "averages": list(self._averages)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from such a state. Raises StateError, with nothing changed, for averages of another net."""
        averages = list(state["averages"])
        expected = [tuple(held.value.shape) for held in self.held] if state["count"] else []
        if (found := [tuple(average.shape) for average in averages]) != expected:
            raise StateError(f"AveragedWeights: averages must have the shapes {expected}, got {found}")
        self.count, self._averages = state["count"], [persistent(average) for average in averages]

    def update(self) -> None:
        """Update the average with the current weights."""
        values = [_as_averaged(held.value) for held in self.held]
        if not self.count:
            self._averages = [persistent(value) for value in values]
        else:
            self._move(values)
        self.count += 1

    def _move(self, values: list[Tensor]) -> None:
        share = 1 / (self.count + 1) if self.decay is None else 1 - self.decay
        pairs = list(zip(self._averages, values, strict=True))
        moved = [(average, value) for average, value in pairs if average.is_floating_point() or average.is_complex()]
        if moved:
            averages, news = map(list, zip(*moved, strict=True))
            torch._foreach_lerp_(averages, news, share)
        for average, value in pairs:
            if not (average.is_floating_point() or average.is_complex()):  # a count is rounded down, as torch does
                mean = average + (value - average) / (self.count + 1)
                average.copy_(mean if self.decay is None else average * self.decay + value * (1 - self.decay))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within this context the net has the averaged weights; after it, all weights and buffers that it had before.

        Before the first update it has its own.
        """
        held = list(dict.fromkeys(each for _, each in self.net.named_state())) if self.count else []
        before = [persistent(each.value) for each in held]
        try:
            self.give()
            yield
        finally:
            for each, value in zip(held, before, strict=True):
                each.value.copy_(value)

    def give(self) -> None:
        """Give the net the averaged weights permanently, if there was an update."""
        for held, average in zip(self.held, self._averages, strict=False):
            held.value.copy_(average)


def _as_averaged(value: Tensor) -> Tensor:
    """A value in the dtype of its average: float32 for half precision, which would lose what is small."""
    return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
