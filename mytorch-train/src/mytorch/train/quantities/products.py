"""The inner products of the gradients of single samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mytorch.core import GradientSeen, Module, Quantity, SampleGradients
from mytorch.train.batches import count_rows
from mytorch.train.mean_loss import Weight
from mytorch.train.quantities.watch import watch_gradients
from mytorch.train.unchanged import unchanged

Batch = tuple[Any, Any]
"""Inputs and targets."""


def sample_products(net: Module, loss: Module, batch: Batch, other: Batch) -> Tensor:
    """The inner product of the gradient of every sample with that of every sample of another batch: (samples, others).

        products[n, m] = sum over all parameters of g_n . g_m,  g_n: the gradient of the own loss of sample n

    batch, other: (inputs, targets). With the same batch twice, the diagonal holds the squares of `sample_norms`.
    One forward and one backward of each batch; what is kept of the first one are the factors of its gradients, and the
    gradients themselves are formed, some at a time, only where that is cheaper. Net and loss are afterwards as before.

    Raises ArgumentError as `sample_gradients` does.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, MSELoss
        >>> from mytorch.train.quantities import sample_products
        >>> training, new = (torch.randn(5, 2), torch.randn(5, 1)), (torch.randn(3, 2), torch.randn(3, 1))
        >>> sample_products(Linear(2, 1), MSELoss(), training, new).shape
        torch.Size([5, 3])
    """
    kept, _ = kept_samples(net, loss, batch)
    return products_with(net, loss, kept, other)[0]


class _Keeper(Quantity):
    """Keeps the gradients of single samples in the form in which they are stated."""

    per_sample = True

    def __init__(self) -> None:
        self.found: dict[str, SampleGradients] = {}

    def gradient(self, seen: GradientSeen) -> None:
        assert seen.samples is not None  # since they were asked for
        self.found[seen.name] = seen.samples


class _Multiplier(Quantity):
    """Adds up the products of the gradients that it is shown with those that were kept."""

    per_sample = True

    def __init__(self, kept: dict[str, SampleGradients]) -> None:
        self.kept = kept
        self.total: Tensor | None = None

    def gradient(self, seen: GradientSeen) -> None:
        assert seen.samples is not None
        if seen.name in self.kept:  # one of a parameter that the other batch does not use is 0
            products = self.kept[seen.name].products(seen.samples)
            self.total = products if self.total is None else self.total.add_(products)


def kept_samples(net: Module, loss: Module, batch: Batch) -> tuple[dict[str, SampleGradients], Weight]:
    """The gradients of the samples of a batch, by the name of the parameter, and the weight of its loss."""
    keeper = _Keeper()
    with unchanged(net, loss):
        _, weight = watch_gradients(net, loss, *batch, [keeper])
    return keeper.found, weight


def products_with(net: Module, loss: Module, kept: dict[str, SampleGradients], other: Batch) -> tuple[Tensor, Weight]:
    """The products of gradients that were kept with those of the samples of a batch, and the weight of its loss."""
    multiplier = _Multiplier(kept)
    with unchanged(net, loss):
        _, weight = watch_gradients(net, loss, *other, [multiplier])
    if multiplier.total is None:  # no parameter is used by both
        rows = count_rows(other[0] if other[1] is None else other[1])
        return torch.zeros(next(iter(kept.values())).sizes()[0], rows), weight
    return multiplier.total.clone(), weight  # which belongs to no inference mode
