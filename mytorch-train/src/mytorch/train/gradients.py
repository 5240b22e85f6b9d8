"""Forward and backward of one batch."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mytorch.core import Module, require_pair
from mytorch.train.batches import call, require_taken
from mytorch.train.evaluation import require_number, require_two
from mytorch.train.mean_loss import Weight, sums, weight_of


def gradients(
    net: Module, loss: Module, inputs: Any, targets: Any, *, weighted: bool = False
) -> tuple[Tensor, Weight]:
    """Run forward and backward, which adds to the parameters' gradients.

    Returns the loss, a 0-dim tensor, and the number by which its mean was divided: `loss.weight_of`, or the number of
    rows if the loss is not a `mytorch.core.Loss`. Several inputs are passed as a tuple, or as a dict of their names.
    weighted: the gradients are those of the loss times its weight, so that their sum over batches is the gradient of
        the mean over all of them, times the sum of the weights. For a loss with reduction "sum" they are not changed.
    """
    prediction, saved = forward(net, inputs)
    value, weight, d_prediction = loss_gradient(loss, prediction, targets, weighted=weighted)
    del prediction  # and d_prediction is handed over, so that memory falls during the backward
    net.backward(d_prediction.pop(), saved)
    return value, weight


def forward(net: Module, inputs: Any) -> tuple[Any, Any]:
    """What a model makes of the inputs of a batch, and what it saved for the backward."""
    if isinstance(inputs, Tensor):
        try:
            pair = net.forward(inputs)
        except TypeError as error:
            require_taken(net.forward, (inputs,), {}, error)
            raise
    else:
        pair = call(net.forward, inputs)
    if type(pair) is not tuple or len(pair) != 2:
        require_pair(net, pair)
    return pair


def loss_gradient(
    loss: Module, prediction: Any, targets: Any, *, weighted: bool = False
) -> tuple[Tensor, Weight, list[Any]]:
    """The loss of a batch, its weight, and a list with the gradient of the prediction, as `gradients` has them.

    It is a list so that the caller can hand the gradient over and keep no reference of its own.
    """
    value, saved_by_loss = loss_forward(loss, prediction, targets)
    weight = weight_of(loss, prediction, targets)
    d_value = _share(value, weight) if weighted and not sums(loss) else 1.0
    return value, weight, [loss.backward(d_value, saved_by_loss)]


def loss_forward(loss: Module, prediction: Any, targets: Any) -> tuple[Tensor, Any]:
    """The loss of a batch, one number, and what it saved for its backward."""
    try:
        pair = loss.forward(prediction, targets)
    except TypeError as error:
        require_two(loss, prediction, targets, error)
        raise
    if type(pair) is not tuple or len(pair) != 2:
        require_pair(loss, pair)
    if not isinstance(pair[0], Tensor) or pair[0].dim():
        require_number(loss, pair[0], "train on")
    return pair


def _share(value: Tensor, weight: Weight) -> float | Tensor:
    """A weight as an upstream gradient of the loss."""
    return weight.to(value.dtype) if isinstance(weight, Tensor) else float(weight)
