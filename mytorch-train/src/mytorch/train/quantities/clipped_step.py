"""A training step in which no single sample counts for more than a bound allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import GradientSeen, Module, Optimizer, Parameter, Quantity, SampleGradients, add_path
from mytorch.train.batches import count_rows
from mytorch.train.gradients import gradients
from mytorch.train.mean_loss import Weight, sums
from mytorch.train.quantities.axes import KnownAxes
from mytorch.train.quantities.watch import watching
from mytorch.train.step import update


class ClippedStep:
    """Takes a step along the mean of the gradients of single samples, each scaled down to a bound of its norm.

    Formula:  d = mean over n of g_n * min(1, clip_sample_norm / |g_n|), with |g_n| over all parameters;
              the sum, if the loss is a sum
    Norms and the weighted mean follow from what layers state of single samples, so that no gradient of one is formed
    where that takes more. One forward and one backward.

    clip_sample_norm: the bound.
    quantities: what the step shows its gradients to, before they are clipped.
    """

    def __init__(self, clip_sample_norm: float, quantities: Sequence[Quantity] = ()) -> None:
        self.clip_sample_norm, self.quantities = clip_sample_norm, list(quantities)
        self._known = KnownAxes()

    @property
    def keywords(self) -> Mapping[str, Any]:
        """The options of the step, by name."""
        return {"clip_sample_norm": self.clip_sample_norm}

    def __call__(
        self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
    ) -> tuple[Tensor, Weight]:
        """Take the step. Raises ArgumentError, before anything changes, for a layer or loss that mixes the batch."""
        kept, rows = _Kept(), count_rows(inputs if targets is None else targets)
        try:
            axes = self._known.of(net, loss, inputs, targets)
            with watching(net, loss, [kept, *self.quantities], axes, rows):
                result = gradients(net, loss, inputs, targets)
        except Exception as error:
            add_path(error, net)
            raise
        factors = self._factors(kept.samples) / (1 if sums(loss) else rows)
        for parameter, samples in kept.samples.items():
            parameter.grad = samples.weighted_sum(factors.to(parameter.value.dtype))
        update(optimizer)
        return result

    def _factors(self, found: Mapping[Parameter, SampleGradients]) -> Tensor:
        """By what the gradient of each sample is scaled."""
        norms = torch.stack([samples.squared_norms() for samples in found.values()]).sum(0).sqrt()
        return (self.clip_sample_norm / norms).clamp(max=1.0)  # 1 where a norm is 0


class _Kept(Quantity):
    """Keeps what is known of the gradients of single samples until the backward has ended."""

    per_sample = True

    def __init__(self) -> None:
        self.samples: dict[Parameter, SampleGradients] = {}

    def gradient(self, seen: GradientSeen) -> None:
        assert seen.samples is not None  # since it was asked for
        self.samples[seen.parameter] = seen.samples
