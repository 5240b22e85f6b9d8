"""A training step with differential privacy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Optimizer, Quantity
from mytorch.train.batches import count_rows
from mytorch.train.mean_loss import Weight, sums
from mytorch.train.privacy.privacy import Privacy
from mytorch.train.quantities.clipped_samples import ClippedSamples
from mytorch.train.setup import Setup
from mytorch.train.step import update


class PrivateStep:
    """Takes a step along the noisy sum of the clipped gradients of a batch's samples, as `Privacy` states it.

    The noise is drawn from torch's generator. A batch without rows, as some draws give, makes a step of noise alone.

    privacy: the bound, the noise, and where steps are counted.
    batch_size: the number of rows that a batch has on average, by which the sum is divided if the loss is a mean.
    rows: of the data.
    quantities: what the step shows its gradients to, before they are clipped.
    """

    def __init__(self, privacy: Privacy, batch_size: int, rows: int, quantities: Sequence[Quantity] = ()) -> None:
        self.privacy, self.batch_size, self.share = privacy, batch_size, min(batch_size / rows, 1.0)
        self.quantities = [*quantities, privacy]
        self._clipped = ClippedSamples(privacy.max_norm, quantities)
        self._per_sample: Weight | None = None

    @property
    def keywords(self) -> Mapping[str, Any]:
        """The options of the step, by name."""
        return {"privacy": self.privacy}

    def __call__(
        self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
    ) -> tuple[Tensor, Weight]:
        """Take the step. Raises ArgumentError, before anything changes, for a layer or loss that mixes the batch."""
        rows = count_rows(inputs if targets is None else targets)
        trained = [p for group in optimizer.param_groups for p in group["params"] if p.trainable]
        result: tuple[Tensor, Weight] = (trained[0].value.new_zeros(()) if trained else torch.zeros(()), 0)
        divisor = 1 if sums(loss) else self.batch_size
        if rows:
            result, found, factors = self._clipped(net, loss, inputs, targets)
            self._require_equal_weights(loss, result[1], rows)
            for parameter, samples in found.items():
                parameter.grad = samples.weighted_sum((factors / divisor).to(parameter.value.dtype))
        deviation = self.privacy.noise_multiplier * self.privacy.max_norm / divisor
        for parameter in trained:
            noise = deviation * torch.randn_like(parameter.value)
            parameter.grad = noise if parameter.grad is None else parameter.grad + noise
        self.privacy.count(self.share)
        update(optimizer)
        return result

    def _require_equal_weights(self, loss: Module, weight: Weight, rows: int) -> None:
        """Raise ArgumentError if a sample counts for more or less where others are in its batch."""
        if sums(loss):
            return
        per_sample = float(weight) / rows
        if per_sample != round(per_sample) or (self._per_sample is not None and per_sample != self._per_sample):
            raise ArgumentError(
                f"privacy: every sample must have the same weight in the loss, got {type(loss).__name__}, which "
                f"counts a batch of {rows} samples as {float(weight):g}, so that one sample changes the gradients of "
                'the others; leave out class weights and ignored targets, or take reduction="sum"'
            )
        self._per_sample = per_sample


def require_privacy(setup: Setup, steps: int) -> None:
    """Raise ArgumentError if so many more steps would spend more than the privacy of the setup's step allows."""
    if isinstance(setup.step, PrivateStep):
        setup.step.privacy.require_room(setup.step.share, steps, len(setup.batches))
