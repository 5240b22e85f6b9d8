"""Updating this process's pieces of parameters within the backward, as soon as their gradients are added up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed

from mytorch.core import Optimizer, Parameter
from mytorch.train.accumulate import inverse
from mytorch.train.mean_loss import Weight
from mytorch.train.parallel.shards import Shards

Update = Callable[[Optimizer, list[Parameter]], object]
"""Updates some parameters alone, by the gradients in them."""


class Flags(NamedTuple):
    """What processes say of a bucket: whether one has failed, then of each parameter whether it has a gradient."""

    parameters: Sequence[Parameter]
    counts: Tensor
    work: distributed.Work


class Updates:
    """What processes tell each other in the last backward of a step, so that each updates its pieces within it.

    By the end of a step all know the weight of the whole batch, which parameters have a gradient in some process, and
    whether one has failed. Here, the weight travels before the backward, and the rest with each bucket. A bucket with
    which a process says that it has failed is not updated, in any process.

    update: is given the parameters of a bucket, which have the values and the gradients of this process's pieces.
    failed: whether this process has failed.
    """

    def __init__(self, shards: Shards, update: Update) -> None:
        self.shards, self.processes, self.update = shards, shards.processes, update
        self.failed = False
        self._optimizer: Optimizer | None = None
        self._weight: tuple[Tensor, distributed.Work] | None = None
        self._inverse: float | Tensor | None = None

    def begin(self, optimizer: Optimizer) -> None:
        """Make ready for a step."""
        self._optimizer, self.failed, self._weight, self._inverse = optimizer, False, None, None

    def weigh(self, weight: Weight) -> None:
        """Let the weight of this process's rows travel, by the sum of which gradients will be divided.

        Every process does it once, before its first bucket of the last backward; none for a loss that is a sum.
        """
        if self._weight is not None:
            return
        device = self.shards.buckets[0].parameters[0].value.device
        widest = torch.float32 if device.type == "mps" else torch.float64
        own = torch.as_tensor(weight, dtype=widest, device=device).clone()  # the sum takes its place
        self._weight = own, self.processes.add(own)

    def send(self, parameters: Sequence[Parameter], told: Mapping[Parameter, Any]) -> Flags:
        """Let travel, with a bucket, for which of its parameters this process has a gradient."""
        flags = torch.tensor([self.failed, *(p in told for p in parameters)], dtype=torch.int32)
        return Flags(parameters, flags, self.processes.add(flags))

    def take(self, flags: Flags, sums: Tensor, grad: Callable[[Parameter], Tensor | None]) -> None:
        """Update the parameters of a bucket by this process's sums of gradients, which are divided in place.

        grad: gives the part of the sums for a parameter; None if this process has no piece of it.
        """
        self.processes.wait(flags.work)
        failed, *held = flags.counts.tolist()
        if failed:
            return
        if self._weight is not None:
            sums.mul_(self._divisor(*self._weight))
        chosen = [p for p, count in zip(flags.parameters, held, strict=True) if count]
        kept = [p.grad for p in chosen]  # one that came too late is found when the backward has ended
        assert self._optimizer is not None
        try:
            with self.shards.in_place(chosen):
                for p in chosen:
                    p.grad = grad(p)
                self.update(self._optimizer, chosen)
        finally:
            for p, before in zip(chosen, kept, strict=True):
                p.grad = before

    def _divisor(self, total: Tensor, work: distributed.Work) -> float | Tensor:
        """1 / the weight of the whole batch."""
        if self._inverse is None:
            self.processes.wait(work)
            self._inverse = inverse(total.item() if total.device.type == "cpu" else total, total.dtype)
        return self._inverse
