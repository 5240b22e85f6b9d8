"""What the losses share that give one number for each element."""

from __future__ import annotations

from torch import Tensor

from mytorch.core import Buffer, Loss, ShapeError, require_floating, require_input, require_same_shape
from mytorch.nn.loss._reduction import real, require_reduction, upstream


class ElementwiseLoss(Loss):
    """The base of losses that compare each number of a prediction with one of the target, and average over all."""

    def __init__(self, reduction: str = "mean") -> None:
        require_reduction(self, reduction)
        self.reduction = reduction

    def weight_of(self, prediction: Tensor, target: Tensor) -> int:  # noqa: ARG002
        return prediction.numel()

    def _pair(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The target in the dtype of the prediction. Raises an error unless both fit each other."""
        require_same_shape(self, prediction, target)
        require_floating(self, prediction, "prediction")
        return real(self, target, prediction.dtype)

    def _each(self, d_value: float | Tensor, prediction: Tensor) -> float | Tensor:
        """The upstream gradient of each element."""
        return upstream(self, d_value, prediction.shape, prediction)


def held_weight(owner: object, name: str, weight: Tensor | None) -> Buffer | None:
    """The weights of elements as a buffer. Raises ArgumentError for what is no tensor."""
    if weight is None:
        return None
    require_input(owner, weight, name)
    return Buffer(weight)


def fitting_weight(owner: object, name: str, held: Buffer | None, prediction: Tensor) -> Tensor | None:
    """The weights of elements, if there are any. Raises ShapeError unless they broadcast to the prediction."""
    if held is None:
        return None
    shape = held.value.shape
    padded = (*(1,) * (prediction.dim() - len(shape)), *shape)
    if len(padded) != prediction.dim() or any(
        own not in (1, size) for own, size in zip(padded, prediction.shape, strict=True)
    ):
        raise ShapeError(
            f"{type(owner).__name__}: {name} must broadcast to the prediction, {tuple(prediction.shape)}, "
            f"got {tuple(shape)}"
        )
    return held.value
