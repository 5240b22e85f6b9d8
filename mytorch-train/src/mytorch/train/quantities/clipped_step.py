"""A training step in which no single sample counts for more than a bound allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mytorch.core import Module, Optimizer, Quantity
from mytorch.train.mean_loss import Weight, sums
from mytorch.train.quantities.clipped_samples import ClippedSamples
from mytorch.train.step import update


class ClippedStep:
    """Takes a step along the mean of the gradients of single samples, each scaled down to a bound of its norm.

    Formula:  d = mean over n of g_n * min(1, clip_sample_norm / |g_n|), with |g_n| over all parameters;
              the sum, if the loss is a sum
    The weighted mean follows from what layers state of single samples, as the norms do. One forward and one backward.

    clip_sample_norm: the bound.
    quantities: what the step shows its gradients to, before they are clipped.
    """

    def __init__(self, clip_sample_norm: float, quantities: Sequence[Quantity] = ()) -> None:
        self.clip_sample_norm, self.quantities = clip_sample_norm, list(quantities)
        self._clipped = ClippedSamples(clip_sample_norm, quantities)

    @property
    def keywords(self) -> Mapping[str, Any]:
        """The options of the step, by name."""
        return {"clip_sample_norm": self.clip_sample_norm}

    def __call__(
        self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
    ) -> tuple[Tensor, Weight]:
        """Take the step. Raises ArgumentError, before anything changes, for a layer or loss that mixes the batch."""
        result, found, factors = self._clipped(net, loss, inputs, targets)
        weights = factors / (1 if sums(loss) else len(factors))
        while found:  # whose memory is free, one after the other
            parameter, samples = found.popitem()
            parameter.grad = samples.weighted_sum(weights.to(parameter.value.dtype))
        update(optimizer)
        return result
