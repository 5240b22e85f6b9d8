"""The running statistics of batch normalisation, computed anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mytorch.core import Module, random_state
from mytorch.train.evaluation import predict


def update_bn(net: Module, batches: Iterable[tuple[Any, Any]]) -> None:
    """Compute the running statistics of batch normalisation from these batches, as for averaged weights.

    batches: pairs of inputs and targets, such as `Batches(data, 100)` or a DataLoader; targets are not used.
    Running means and variances become the mean over the batches in training mode. Modes, momenta and random state are
    restored. This is done for each layer that has `momentum` and counts its batches in `num_batches_tracked`; a layer
    that no batch passed through keeps its statistics. Without such layers nothing is computed.
    Formula:  as torch.optim.swa_utils.update_bn

    Example:
        >>> import torch
        >>> from mytorch.nn import BatchNorm1d
        >>> from mytorch.train import update_bn
        >>> net, x = BatchNorm1d(2), torch.tensor([[1.0, 2.0], [3.0, 6.0]])
        >>> update_bn(net, [(x, None)])
        >>> net.running_mean.value
        tensor([2., 4.])
    """
    layers: list[Any] = [module for module in net.modules() if _keeps_statistics(module)]
    if not layers:
        return
    before = [[held.value.clone() for held in _statistics(layer)] for layer in layers]
    with torch.inference_mode(), random_state(net), _averaging(net, layers):
        for layer in layers:
            for held, start in zip(_statistics(layer), (0, 1, 0), strict=True):
                held.value.fill_(start)
        for inputs, _ in batches:
            predict(net, inputs)
        for layer, kept in zip(layers, before, strict=True):
            if not layer.num_batches_tracked.value:
                for held, value in zip(_statistics(layer), kept, strict=True):
                    held.value.copy_(value)


@contextmanager
def _averaging(net: Module, layers: list[Any]) -> Iterator[None]:
    """Within this context the net is in training mode, and these layers average over all batches."""
    modes = [(module, module.training) for module in net.modules()]
    momenta = [layer.momentum for layer in layers]
    try:
        net.train()
        for layer in layers:
            layer.momentum = None
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, training in modes:
            module.training = training


def _keeps_statistics(module: Module) -> bool:
    names = ("running_mean", "running_var", "num_batches_tracked")
    return hasattr(module, "momentum") and all(getattr(module, name, None) is not None for name in names)


def _statistics(layer: Any) -> tuple[Any, Any, Any]:
    return layer.running_mean, layer.running_var, layer.num_batches_tracked
