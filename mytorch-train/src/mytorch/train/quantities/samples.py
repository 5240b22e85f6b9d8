"""The gradients of single samples, and their norms, of one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, SampleGradients, add_path
from mytorch.train.batches import count_rows
from mytorch.train.mean_loss import Weight
from mytorch.train.quantities.axes_of_calls import axes_of
from mytorch.train.quantities.watch import watch_samples
from mytorch.train.unchanged import unchanged

Of = Callable[[SampleGradients], Tensor]


def _of_batch(net: Module, loss: Module, inputs: Any, targets: Any, of: Of) -> dict[str, Tensor]:
    return _weighed(net, loss, inputs, targets, of)[0]


def _weighed(net: Module, loss: Module, inputs: Any, targets: Any, of: Of) -> tuple[dict[str, Tensor], Weight]:
    found: dict[str, Tensor] = {}

    def keep(name: str, samples: SampleGradients) -> None:
        found[name] = of(samples)

    try:
        with unchanged(net, loss):
            axes = axes_of(net, loss, inputs, targets)
            _, weight = watch_samples(net, loss, inputs, targets, axes, keep)
    except Exception as error:
        add_path(error, net)
        raise
    return {name: found[name] for name in axes.holders.names.values() if name in found}, weight


def sample_gradients(net: Module, loss: Module, inputs: Any, targets: Any) -> dict[str, Tensor]:
    """The gradient of every sample's own loss, by the name of the parameter: (samples, *shape of the parameter).

    One forward and one backward of the batch, in the mode that the net has; net and loss are afterwards as before.
    Layers state these gradients; those of a layer that does not are computed by one backward of it for each sample.
    Where the loss gives samples different weights, the gradient of one is its share in that of the batch, times the
    number of samples.

    Raises ArgumentError for a layer that mixes the batch, such as BatchNorm in training mode, and for a loss that is
    no mean or sum over the samples, or has parameters of its own.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, MSELoss, ReLU, Sequential
        >>> from mytorch.train.quantities import sample_gradients
        >>> net = Sequential(Linear(2, 3), ReLU(), Linear(3, 1))
        >>> each = sample_gradients(net, MSELoss(), torch.randn(5, 2), torch.randn(5, 1))
        >>> each["0.weight"].shape
        torch.Size([5, 3, 2])
    """
    return _of_batch(net, loss, inputs, targets, lambda samples: samples.each())


def sample_norms(net: Module, loss: Module, inputs: Any, targets: Any, by_parameter: bool = False) -> Any:
    """The Euclidean norm of every sample's gradient: (samples,), or the same by the name of each parameter.

    As `sample_gradients`, but the gradients themselves are not formed where their norms take less without them.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, MSELoss
        >>> from mytorch.train.quantities import sample_norms
        >>> sample_norms(Linear(2, 1), MSELoss(), torch.randn(5, 2), torch.randn(5, 1)).shape
        torch.Size([5])
    """
    if by_parameter:
        return {name: each.sqrt() for name, each in _squared_norms(net, loss, inputs, targets)[0].items()}
    return weighed_sample_norms(net, loss, inputs, targets)[0]


def weighed_sample_norms(net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:
    """As `sample_norms`, with the weight of the loss in a mean over batches."""
    squares, weight = _squared_norms(net, loss, inputs, targets)
    return torch.stack(list(squares.values())).sum(0).sqrt(), weight


def _squared_norms(net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[dict[str, Tensor], Weight]:
    return _weighed(net, loss, inputs, targets, lambda samples: samples.squared_norms())


def sample_second_moment(net: Module, loss: Module, inputs: Any, targets: Any) -> dict[str, Tensor]:
    """The mean over the samples of the square of each number of their gradients, by the name of the parameter.

    It is the diagonal of the empirical Fisher matrix. As `sample_variance`, it is computed without all gradients of
    single samples in memory where the layer's form allows it.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, MSELoss
        >>> from mytorch.train.quantities import sample_second_moment
        >>> sample_second_moment(Linear(2, 1), MSELoss(), torch.randn(5, 2), torch.randn(5, 1))["weight"].shape
        torch.Size([1, 2])
    """
    rows = count_rows(inputs if targets is None else targets)
    return _of_batch(net, loss, inputs, targets, lambda samples: samples.sum_of_squares() / rows)


def sample_variance(net: Module, loss: Module, inputs: Any, targets: Any) -> dict[str, Tensor]:
    """The variance of each number of the gradient over the samples, divided by their number less one.

    As `sample_gradients`, but all gradients of single samples are never in memory at once where the layer's form
    allows it. In float32, a spread below about 0.3 % of the mean gradient is lost in rounding.
    Raises ArgumentError for a single sample, too.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, MSELoss
        >>> from mytorch.train.quantities import sample_variance
        >>> sample_variance(Linear(2, 1), MSELoss(), torch.randn(5, 2), torch.randn(5, 1))["weight"].shape
        torch.Size([1, 2])
    """
    rows = count_rows(inputs if targets is None else targets)
    if rows < 2:
        raise ArgumentError(f"sample_variance: the batch must have at least two samples, got {rows}")

    def variance(samples: SampleGradients) -> Tensor:
        squares = samples.sum_of_squares()
        mean = samples.weighted_sum(squares.new_full((rows,), 1 / rows))
        return squares.addcmul(mean, mean, value=-rows).clamp_(min=0).div_(rows - 1)

    return _of_batch(net, loss, inputs, targets, variance)
