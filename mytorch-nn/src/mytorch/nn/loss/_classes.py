"""What the losses of classes share: the axis of the classes, their weights, targets that are no class."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Buffer,
    DtypeError,
    ShapeError,
    readable,
    require_floating,
    require_input,
    require_same_device,
)
from mytorch.nn._visible import out_of_range


class OfClasses(Protocol):
    """A loss that weights classes."""

    weight: Buffer | None
    ignore_index: int


def require_class_weights(owner: object, weight: Tensor) -> None:
    """Raise an error unless the weights of the classes are floating point and at least 0."""
    require_input(owner, weight, "weight")
    require_floating(owner, weight, "weight")
    if not weight.is_meta and not (weight >= 0).all():  # which NaN is not
        raise ArgumentError(f"{type(owner).__name__}: weight must be at least 0 for each class, got {weight.tolist()}")


def require_weight_fits(owner: object, weight: Buffer | None, prediction: Tensor, axis: int) -> None:
    """Raise an error unless there are no weights, or one for each class in the dtype of the prediction."""
    if weight is None:
        return
    name = type(owner).__name__
    if weight.value.shape != prediction.shape[axis : axis + 1]:
        raise ShapeError(
            f"{name}: weight must have one number for each of {prediction.shape[axis]} classes, "
            f"got {tuple(weight.value.shape)}"
        )
    if weight.value.dtype is not prediction.dtype:
        raise DtypeError(
            f"{name}: weight must have the dtype of the prediction, {prediction.dtype}, "
            f"got {weight.value.dtype}; convert with loss.to({prediction.dtype})"
        )
    require_same_device(owner, weight.value, prediction, "weight", "prediction")


def require_indices(owner: object, prediction: Tensor, target: Tensor, shape: torch.Size) -> None:
    """Raise an error unless the target holds int64 class indices in `shape`, one for each prediction."""
    name = type(owner).__name__
    if target.dtype != torch.int64:
        raise DtypeError(f"{name}: target must be int64 class indices, got {target.dtype}; convert with .long()")
    if target.shape != shape:
        raise ShapeError(
            f"{name}: target must have the shape {tuple(shape)}, a class index for each prediction of "
            f"{tuple(prediction.shape)}, got {tuple(target.shape)}"
        )
    require_same_device(owner, target, prediction, "target", "prediction")


def require_known_classes(owner: OfClasses, prediction: Tensor, target: Tensor) -> None:
    """Raise ArgumentError for a target that is no class, where it is on an accelerator, and `readable`.

    The kernel for the CPU looks at each class itself; one that a GPU finds ends all that the process does there.
    """
    if target.is_cpu or (seen := readable(target)) is None:
        return
    if out_of_range(seen, count := prediction.shape[class_axis(prediction)]) is None:
        return
    if ((seen != owner.ignore_index) & ((seen < 0) | (seen >= count))).any():
        raise unknown_class(owner, prediction, seen)


def unknown_class(owner: OfClasses, prediction: Tensor, target: Tensor) -> ArgumentError:
    """The error for a target that is none of the prediction's classes."""
    count = prediction.shape[class_axis(prediction)]
    unknown = target[(target != owner.ignore_index) & ((target < 0) | (target >= count))]
    return ArgumentError(
        f"{type(owner).__name__}: target must be a class between 0 and {count - 1}, as the prediction of "
        f"{tuple(prediction.shape)} has, or ignore_index, {owner.ignore_index}, got {int(unknown[0])}"
    )


def class_axis(prediction: Tensor) -> int:
    """The axis of the classes."""
    return 1 if prediction.dim() > 1 else 0


def without(shape: torch.Size, axis: int) -> torch.Size:
    """The sizes of the other axes."""
    return shape[:axis] + shape[axis + 1 :]


def arranged(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both as torch's kernels of class indices take them, which know no axes behind the classes, or two."""
    if prediction.dim() in (1, 2, 4):
        return prediction, target
    return prediction.flatten(2).unsqueeze(2), target.flatten(1).unsqueeze(1)


def along(weight: Tensor, prediction: Tensor, axis: int) -> Tensor:
    """A number for each class, ready to be multiplied with a prediction."""
    return weight.reshape([-1 if at == axis else 1 for at in range(prediction.dim())])
