"""One training step."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mytorch.core import Module, Optimizer, add_path, require_pair
from mytorch.train.batches import call
from mytorch.train.clip_gradients import clip_gradients
from mytorch.train.evaluation import require_number
from mytorch.train.mean_loss import Weight, weight_of


def gradients(net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:
    """Forward and backward: adds to the parameters' gradients.

    Returns the loss, a 0-dim tensor, and by what its mean was divided: what `loss.weight_of` says, or the number of
    rows if the loss is no `mytorch.core.Loss`. Several inputs come as a tuple,
    or as a dict that names them.
    """
    pair = call(net.forward, inputs)
    require_pair(net, pair)
    prediction, saved = pair
    pair = loss.forward(prediction, targets)
    require_pair(loss, pair)
    value, saved_by_loss = pair
    del pair
    if not isinstance(value, Tensor) or value.dim():
        require_number(loss, value, "train on")
    weight = weight_of(loss, prediction, targets)
    d_prediction = [loss.backward(1.0, saved_by_loss)]
    del prediction, saved_by_loss  # and d_prediction is handed over, so that memory falls during the backward
    net.backward(d_prediction.pop(), saved)
    return value, weight


def step(
    net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any, clip_grad_norm: float | None = None
) -> tuple[Tensor, Weight]:
    """One training step from gradients that are None to gradients that are None. Returns what `gradients` returns.

    clip_grad_norm: gradients are scaled down together where their norm is above it.
    Call it under torch.inference_mode() to save what autograd would check. An error names the path to the layer.
    """
    try:
        result = gradients(net, loss, inputs, targets)
    except Exception as error:
        add_path(error, net)
        raise
    if clip_grad_norm is not None:
        clip_gradients(optimizer, clip_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return result
