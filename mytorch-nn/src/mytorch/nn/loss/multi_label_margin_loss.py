"""The hinge loss of rows that belong to several classes each."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Loss,
    ShapeError,
    readable,
    require_dimensions,
    require_floating,
    require_input,
    require_saved,
)
from mytorch.core.compiling import is_compiling
from mytorch.nn.loss._classes import require_indices
from mytorch.nn.loss._reduction import CODES, reduce, require_reduction, upstream_tensor, wide
from mytorch.nn.loss._tangents import elementwise, last_axis

aten = torch.ops.aten


class MultiLabelMarginLoss(Loss):
    """Scores x of which those of all labels of a row should be larger by 1 than those of all other classes.

    Forward:   z[j, i] = 1 - x[j] + x[i] for each label j of the row and each class i that is none, x = prediction;
               value = average over the rows of (sum of max(0, z[j, i])) / classes; reduction: mean, or sum, or none
    Backward:  d_prediction[i] = d_value / classes / rows for each z[j, i] > 0, d_prediction[j] minus as much;
               for sum and none without the division by the rows
    Kernel:    aten.multilabel_margin_loss_backward
    Shapes:    prediction: (batch, classes) or (classes,);
               target: int64, the same: the labels of a row, then -1, and what comes behind it does not count;
               value: (), for none (batch,) or ()
    Raises:    ShapeError or DtypeError unless both fit each other; ArgumentError for a label that is no class
    Source:    torch.nn.MultiLabelMarginLoss, whose definition it follows; labels ranked above the other classes:
               Elisseeff and Weston 2001, "A kernel method for multi-labelled classification"

    Example:
        >>> MultiLabelMarginLoss()(torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([[3, 0, -1, 1]]))
        tensor(0.8500)
    """

    outputs = "scores"
    conformance: ClassVar[dict[str, Any]] = {
        "inputs": [(5, 3), torch.tensor([[0, -1, 1], [1, 2, -1], [-1, 0, 1], [2, 0, 1], [2, -1, 0]])]
    }

    def __init__(self, reduction: str = "mean") -> None:
        require_reduction(self, reduction)
        self.reduction = reduction

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        require_dimensions(self, prediction, 1, 2, name="prediction")
        require_floating(self, prediction, "prediction")
        if not prediction.shape[-1]:
            raise ShapeError(
                f"MultiLabelMarginLoss: prediction must have at least one class, got {tuple(prediction.shape)}"
            )
        require_input(self, target, "target")
        require_indices(self, prediction, target, prediction.shape)
        if not (target.is_cpu or target.is_meta or is_compiling()):  # where the kernel would read beyond the row
            seen = readable(target)
            self._require_labels(target if seen is None else seen, prediction.shape[-1])
        x = wide(prediction)
        try:  # the kernel for the CPU looks at every label anyway
            value, is_label = aten.multilabel_margin_loss_forward(x, target, CODES[self.reduction])
        except RuntimeError as error:
            self._require_labels(target, prediction.shape[-1], error)
            raise
        if not prediction.numel():  # of nothing, the kernel returns whatever stood in memory
            value = reduce(self.reduction, x.new_zeros(0))
        return value.to(prediction.dtype), (prediction, target, is_label)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        require_saved(self, saved, Tensor, Tensor, Tensor)
        prediction, target, is_label = saved
        x = wide(prediction)
        d_value = upstream_tensor(self, d_value, prediction.shape[:-1], x)
        d_x: Tensor = aten.multilabel_margin_loss_backward(d_value, x, target, CODES[self.reduction], is_label)
        return d_x.to(prediction.dtype)

    tangent, backward_tangent = elementwise(axis=last_axis)

    def weight_of(self, prediction: Tensor, target: Tensor) -> int:  # noqa: ARG002
        return prediction.shape[:-1].numel()

    def _require_labels(self, target: Tensor, count: int, error: RuntimeError | None = None) -> None:
        unknown = target[(target < -1) | (target >= count)]
        if unknown.numel():
            raise ArgumentError(
                f"MultiLabelMarginLoss: target must be classes between 0 and {count - 1}, or -1 after the labels of "
                f"a row, got {int(unknown[0])}"
            ) from error
