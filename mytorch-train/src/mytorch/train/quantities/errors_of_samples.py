"""How far the predictions of single samples are off."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mytorch.core import Module
from mytorch.train.batches import count_rows
from mytorch.train.gradients import forward, loss_gradient
from mytorch.train.mean_loss import Weight, sums
from mytorch.train.quantities.axes_of_calls import axes_of
from mytorch.train.quantities.structure import leaves, tensors
from mytorch.train.unchanged import unchanged


def error_norms(net: Module, loss: Module, inputs: Any, targets: Any) -> Tensor:
    """The norm of the gradient of every sample's own loss with respect to the prediction: (samples,).

    For `CrossEntropyLoss` this is |softmax(prediction) - one-hot target|, the score EL2N of data pruning; for
    `MSELoss` twice the mean error. It takes one forward pass and the backward of the loss, in the mode that the net
    has; net and loss are afterwards as before.

    Raises ArgumentError as `sample_gradients` does.
    Source:   Paul et al. 2021, "Deep learning on a data diet: finding important examples early in training"

    Example:
        >>> import torch
        >>> from mytorch.nn import CrossEntropyLoss, Linear
        >>> from mytorch.train.quantities import error_norms
        >>> error_norms(Linear(2, 3), CrossEntropyLoss(), torch.randn(5, 2), torch.tensor([0, 2, 1, 1, 0])).shape
        torch.Size([5])
    """
    return weighed_error_norms(net, loss, inputs, targets)[0]


def weighed_error_norms(net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:
    """As `error_norms`, with the weight of the loss in a mean over batches."""
    axes = leaves(axes_of(net, loss, inputs, targets).of(net, 0))
    rows = count_rows(inputs if targets is None else targets)
    with unchanged(net, loss):
        prediction, _ = forward(net, inputs)
        _, weight, d_prediction = loss_gradient(loss, prediction, targets)
        pairs = zip(tensors(d_prediction[0]), axes, strict=True)
        squares = [d.movedim(axis, 0).reshape(rows, -1).square().sum(1) for d, axis in pairs]
    return torch.stack(squares).sum(0).sqrt() * (1 if sums(loss) else rows), weight
