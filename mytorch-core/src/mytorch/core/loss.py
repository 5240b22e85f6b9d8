"""The contract of losses: the quantity to minimise, and what averages and predictions need to know of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core.checks import require_choice, require_same_device
from mytorch.core.errors import ArgumentError, ShapeError
from mytorch.core.module import Module

OUTPUTS = ("softmax", "log-softmax", "sigmoid", "numbers", "scores")
"""What a loss can say of the predictions that it takes; `Loss` explains each."""


class Loss(Module):
    """A module whose value is the quantity to minimise. It compares a prediction with a target.

        value, saved = loss.forward(prediction, target)
        d_prediction = loss.backward(d_value, saved)      # d_value: a number, or a tensor of the value's shape

    A subclass writes both, and says three things about itself:

    outputs: how a prediction is read.
        "softmax": one score a class; their softmax are the classes' probabilities
        "log-softmax": the logarithm of each class's probability
        "sigmoid": one score a yes-or-no question; its sigmoid is the probability of yes
        "numbers": the numbers themselves, in the units of the target
        "scores": one score a class, of which the largest wins; of one column, the second class where it is positive
    reduction: whether a value is the "mean" of a batch, its "sum", or "none", one number an element.
    weight_of(prediction, target): by what the mean is divided.

    Example:
        >>> import torch
        >>> from mytorch.core import Loss, require_d_value
        >>> class AbsoluteError(Loss):
        ...     outputs = "numbers"
        ...     def forward(self, prediction, target):
        ...         difference = prediction - target
        ...         return difference.abs().mean(), difference
        ...     def backward(self, d_value, difference):
        ...         require_d_value(self, d_value, ())
        ...         return d_value * difference.sign() / difference.numel()
        ...     def weight_of(self, prediction, target):
        ...         return prediction.numel()
        >>> AbsoluteError()(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 2.0]))
        tensor(1.5000)
    """

    outputs: ClassVar[str] = "scores"
    reduction: str = "mean"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        require_choice(cls.__name__, "outputs", cls.outputs, OUTPUTS)

    def weight_of(self, prediction: Any, target: Any) -> int | float | Tensor:  # noqa: ARG002
        """By what the mean over this batch is divided; of a sum, by what its mean would be.

        The number of rows, if a subclass does not say otherwise: right whenever each row counts as much as any other.
        A loss that ignores targets or weights them must say otherwise. With it, the mean over several batches is

            sum(value * weight) / sum(weight)    for reduction "mean"
            sum(value) / sum(weight)             for reduction "sum"

        A batch of weight 0 counts for nothing, whatever its value; its gradients must be 0.
        Returns a number, or a 0-dim tensor if it depends on the numbers in `target`.
        """
        return _rows(prediction)

    def hessian_root(self, prediction: Any, target: Any, draws: int | None = None) -> Iterable[Tensor]:  # noqa: ARG002
        """Columns of a square root of the Hessian of the value with respect to the prediction, sample by sample.

        Each has the shape of the prediction, whose first axis holds the samples. The Hessian of the value with respect
        to the prediction for sample n is the sum over the columns of outer(column[n], column[n]).
        draws: in place of all columns, so many that are drawn from torch's generator, whose outer products have that
            sum as their expectation: the gradients of targets drawn from the distribution that the prediction states,
            divided by the square root of their number.
        Raises ArgumentError, as here, for a loss that does not state it.
        """
        raise ArgumentError(
            f"{type(self).__name__}: hessian_root must be defined where second derivatives of the loss are asked for, "
            "got a loss without it; take a loss that states it, such as a squared error or a cross entropy of scores"
        )


def require_d_value(owner: object, d_value: Any, shape: tuple[int, ...], like: Tensor | None = None) -> None:
    """Raise ShapeError unless `d_value` is a number, a tensor without axes, or one of the value's shape.

    like: a tensor that it meets. A tensor on another device raises ArgumentError, but for one without axes on the
    CPU, which torch takes for a number on every device.
    """
    if isinstance(d_value, Tensor) and (d_value.dim() == 0 or d_value.shape == shape):
        if like is not None and (d_value.dim() or not d_value.is_cpu):
            require_same_device(owner, d_value, like, "d_value", "prediction")
        return
    if isinstance(d_value, (int, float)):
        return
    got = str(tuple(d_value.shape)) if isinstance(d_value, Tensor) else f"a {type(d_value).__name__}"
    raise ShapeError(
        f"{type(owner).__name__}: d_value must be a number, or a tensor with the shape of the value, "
        f"{tuple(shape)}, got {got}"
    )


def _rows(values: Any) -> int:
    """The length of the first axis of the first tensor; 1 for a tensor without axes."""
    while not isinstance(values, Tensor):
        values = next(iter(values.values() if isinstance(values, Mapping) else values))
    return values.shape[0] if values.dim() else 1
