"""One forward and one backward, with by how much the gradient of each sample is to be scaled down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import GradientSeen, Module, Parameter, Quantity, SampleGradients, add_path
from mytorch.train.batches import count_rows
from mytorch.train.gradients import gradients
from mytorch.train.mean_loss import Weight
from mytorch.train.quantities.axes import Axes, KnownAxes
from mytorch.train.quantities.watch import watch_samples, watching


class ClippedSamples:
    """Computes what is known of the gradients of single samples, and the factors that bound their norms.

    Formula:  factor_n = min(1, bound / |g_n|), with |g_n| over all parameters
    Norms follow from what layers state of single samples, so that no gradient of one is formed where that takes more.

    bound: of the norms.
    quantities: what is shown the gradients, before they are clipped.
    """

    def __init__(self, bound: float, quantities: Sequence[Quantity] = ()) -> None:
        self.bound, self.quantities = bound, list(quantities)
        self._known = KnownAxes()

    def __call__(
        self, net: Module, loss: Module, inputs: Any, targets: Any
    ) -> tuple[tuple[Tensor, Weight], dict[Parameter, SampleGradients], Tensor]:
        """What `gradients` returns, the gradients of samples by parameter, and the factors, float64 of (rows,).

        Raises ArgumentError, before anything changes, for a layer or loss that mixes the batch.
        """
        try:
            axes = self._known.of(net, loss, inputs, targets)
            result, found = self._samples(net, loss, inputs, targets, axes)
        except Exception as error:
            add_path(error, net)
            raise
        squares = [samples.precise().squared_norms().double().clamp(min=0.0) for samples in found.values()]
        norms = torch.stack(squares).sum(0).sqrt()
        return result, found, (self.bound / norms).clamp(max=1.0)  # 1 where a norm is 0

    def _samples(
        self, net: Module, loss: Module, inputs: Any, targets: Any, axes: Axes
    ) -> tuple[tuple[Tensor, Weight], dict[Parameter, SampleGradients]]:
        """One forward and one backward; the gradient of the batch is computed only for those who ask for it."""
        if not self.quantities:
            named, found = dict(net.named_param()), dict[str, SampleGradients]()
            result = watch_samples(net, loss, inputs, targets, axes, found.__setitem__)
            return result, {named[name]: samples for name, samples in found.items()}
        kept = _Kept()
        with watching(net, loss, [kept, *self.quantities], axes, count_rows(inputs if targets is None else targets)):
            result = gradients(net, loss, inputs, targets)
        return result, kept.samples


class _Kept(Quantity):
    """Keeps what is known of the gradients of single samples until the backward has ended."""

    per_sample = True

    def __init__(self) -> None:
        self.samples: dict[Parameter, SampleGradients] = {}

    def gradient(self, seen: GradientSeen) -> None:
        assert seen.samples is not None  # since it was asked for
        self.samples[seen.parameter] = seen.samples
