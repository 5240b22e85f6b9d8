"""Backward passes of the columns of a square root of the loss's Hessian, from which the curvature follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Loss,
    Module,
    Quantity,
    RandomState,
    SampleGradients,
    add_path,
    kind_of,
    random_state,
    require_whole,
)
from mytorch.train.batches import count_rows
from mytorch.train.errors import NotFiniteError
from mytorch.train.gradients import forward
from mytorch.train.quantities.axes import Axes
from mytorch.train.quantities.axes_of_calls import axes_of
from mytorch.train.quantities.structure import mapped, tensors
from mytorch.train.quantities.watch import reusable, showing_samples
from mytorch.train.unchanged import unchanged

NUMBERS_AT_ONCE = 2**18
"""How many numbers a forward saves at most, where several columns go through the net at once: so they fit a cache."""
NUMBERS_OF_ROW = 256
"""What a row counts for at least: a layer may save its numbers where nobody sees them."""


class OfColumns:
    """Computes something of the gradients of samples that come from columns of the root of the loss's Hessian.

    together: whether it takes the gradients of several backwards in one call, after `end` of all of them.
    """

    together: ClassVar[bool] = False

    def samples(self, name: str, samples: SampleGradients) -> None:
        """The gradients of a parameter, by its name, are complete in a backward of one or several columns."""
        raise NotImplementedError

    def end(self) -> None:
        """That backward has ended."""


def show_curvature(
    net: Module, loss: Module, inputs: Any, targets: Any, draws: int | None, quantity: OfColumns
) -> None:
    """Show a quantity the gradients of samples with each column of the root of the loss's Hessian in place of d_loss.

    With the columns s_c of sample n and J_n, the derivative of the prediction with respect to the parameters, they are
    transpose(J_n) @ s_c: the sum of their outer products is the generalised Gauss-Newton matrix (GGN) of the batch.
    A small batch is repeated for several columns, which go through the net together, unless the net draws random
    numbers: then it draws the same for each of them. One forward serves all backwards where what it saves allows it.
    `end` is called behind each of them, and samples are those of the first column, then those of the second, and so
    on. Net, loss and random state are afterwards as before, but for `draws`, which advances torch's generator.

    draws: how many targets of each sample are drawn; None takes all columns.
    Raises ArgumentError for what has no gradients of single samples, and for a loss without `hessian_root`;
        NotFiniteError for a prediction that is not finite.
    """
    if draws is not None:
        require_whole("curvature", "samples", draws, 1)
        seed = int(torch.randint(2**62, ()))
    try:
        with unchanged(net, loss):
            axes = axes_of(net, loss, inputs, targets)
            net.input_grad = False
            show_columns(net, loss, inputs, targets, axes, draws, quantity, None if draws is None else seed)
    except Exception as error:
        add_path(error, net)
        raise


def show_columns(
    net: Module,
    loss: Module,
    inputs: Any,
    targets: Any,
    axes: Axes,
    draws: int | None,
    quantity: OfColumns,
    seed: int | None = None,
) -> None:
    """Show the columns, as `show_curvature` does, where everything may change; gradients are None before and after.

    axes: where samples lie;  seed: of what is drawn, other than by the net.
    """
    rows = count_rows(inputs if targets is None else targets)
    state = random_state(net, loss)
    with showing_samples(net, axes, quantity.samples, rows if quantity.together else None) as backward:
        prediction, saved = forward(net, inputs)
        again = state if state.drawn() else None
        if seed is not None:
            torch.manual_seed(seed)
        columns = _columns(loss, prediction, targets, draws, rows)
        numbers = max(sum(leaf.numel() for leaf in tensors(saved)), prediction.numel(), NUMBERS_OF_ROW * rows)
        at_once, times = max(1, NUMBERS_AT_ONCE // max(numbers, 1)) if again is None else 1, 1
        if not prediction.isfinite().all():
            raise NotFiniteError("curvature: the prediction must be finite, got NaN or infinity")
        lasts = reusable(saved)
        while chunk := list(islice(columns, at_once)):
            if len(chunk) != times or saved is None:
                saved, times = _forward(net, again, inputs, len(chunk)), len(chunk)
                lasts = reusable(saved)
            backward(torch.cat(chunk), saved, rows * times)
            quantity.end()
            saved = saved if lasts else None


def show_drawn(
    net: Module, loss: Module, inputs: Any, targets: Any, axes: Axes, quantities: Sequence[Quantity]
) -> None:
    """Show quantities the gradients of samples with one drawn target each, in the course of a training.

    It adds to no gradient. Numbers are drawn from torch's generator.
    Nothing is shown of a prediction that is not finite, from which no target can be drawn: the loss of the step, which
    is not finite either, tells of it.
    axes: where samples lie.
    """
    rows = count_rows(inputs if targets is None else targets)
    buffers = [(buffer, buffer.value.clone()) for _, buffer in net.named_buffer()]
    named = dict(net.named_param())

    def show(name: str, samples: SampleGradients) -> None:
        for quantity in quantities:
            quantity.curvature(name, named[name], samples)

    try:
        for quantity in quantities:
            quantity.begin(net)
        with showing_samples(net, axes, show) as backward:
            prediction, saved = forward(net, inputs)
            columns = _columns(loss, prediction, targets, 1, rows)
            if prediction.isfinite().all():
                backward(next(columns), saved, rows)
        for quantity in quantities:
            quantity.end(net, rows)
    except Exception as error:
        add_path(error, net)
        raise
    finally:
        for buffer, value in buffers:
            buffer.value.copy_(value)


def _columns(loss: Module, prediction: Any, targets: Any, draws: int | None, rows: int) -> Iterator[Tensor]:
    if not isinstance(loss, Loss):
        raise ArgumentError(
            f"curvature: loss must be a mytorch.core.Loss, which states hessian_root, got a {type(loss).__name__}"
        )
    if not isinstance(prediction, Tensor) or not prediction.dim() or len(prediction) != rows:
        got = str(tuple(prediction.shape)) if isinstance(prediction, Tensor) else kind_of(prediction)
        raise ArgumentError(
            f"curvature: the net must return a tensor with the {rows} samples along its first axis, got {got}"
        )
    return iter(loss.hessian_root(prediction, targets, draws))


def _forward(net: Module, again: RandomState | None, inputs: Any, times: int) -> Any:
    """What a forward of several times the batch saves.

    again: the state from which the net draws its random numbers, if it does.
    """
    with nullcontext() if again is None else random_state():  # so that targets which are drawn later do not repeat
        if again is not None:
            again.restore()
        return forward(net, mapped(lambda leaf: _repeated(leaf, times), inputs))[1]


def _repeated(leaf: Any, times: int) -> Any:
    return leaf.repeat(times, *(1,) * (leaf.dim() - 1)) if isinstance(leaf, Tensor) and times > 1 else leaf
