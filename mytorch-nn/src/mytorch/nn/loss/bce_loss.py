"""The cross entropy of probabilities of yes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import ArgumentError, require_floating, require_saved
from mytorch.nn.loss._elementwise import ElementwiseLoss, fitting_weight, held_weight
from mytorch.nn.loss._reduction import reduce, wide
from mytorch.nn.loss._tangents import elementwise

SPREAD = 1e-12
"""The least denominator p * (1 - p) of the gradient."""


class BCELoss(ElementwiseLoss):
    """Cross entropy of predicted probabilities with targets between 0 and 1. BCEWithLogitsLoss is more exact.

    Forward:   value = average of -weight * (t * log(p) + (1 - t) * log(1 - p)), p = prediction, logarithms at least
               -100; reduction: mean, or sum, or none
    Backward:  d_prediction = d_value * weight * (p - t) / (p * (1 - p)) / count, the denominator p * (1 - p) at least
               1e-12; for sum and none without the division by the count
    Kernel:    aten.binary_cross_entropy_backward
    Shapes:    prediction, target: any, the same;  weight: such as broadcasts to it;
               value: (), for none that of the prediction
    Raises:    ShapeError unless the shapes fit; DtypeError unless prediction and target are floating point;
               on the CPU ArgumentError for a number that is not between 0 and 1, which elsewhere gives NaN
    Source:    Goodfellow, Bengio and Courville 2016, "Deep Learning", section 6.2.2.2; the bounds of the logarithms
               and of the denominator are those of torch.nn.BCELoss

    Example:
        >>> BCELoss()(torch.tensor([0.5, 0.25]), torch.tensor([1.0, 0.0]))
        tensor(0.4904)
    """

    outputs = "numbers"  # the prediction is the probability itself, and not a score
    conformance: ClassVar[dict[str, Any]] = {
        "inputs": [torch.linspace(0.1, 0.9, 15).reshape(5, 3), torch.linspace(1, 0, 15).reshape(5, 3)]
    }

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = held_weight(self, "weight", weight)

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        t = self._pair(prediction, target)
        require_floating(self, target, "target")
        weight = fitting_weight(self, "weight", self.weight, prediction)
        if not prediction.is_cpu:
            return self._computed(prediction, t, weight), (prediction, t)
        try:  # the kernel looks at every number anyway
            value = F.binary_cross_entropy(prediction, t, weight, reduction=self.reduction)
        except RuntimeError as error:
            for name, values in (("prediction", prediction), ("target", t)):
                self._require_probabilities(name, values, error)
            raise
        return value, (prediction, t)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor]) -> Tensor:
        require_saved(self, saved, Tensor, Tensor)
        prediction, target = saved
        scale = torch.as_tensor(self._each(d_value, prediction), dtype=prediction.dtype, device=prediction.device)
        weight = fitting_weight(self, "weight", self.weight, prediction)
        d_prediction: Tensor = torch.ops.aten.binary_cross_entropy_backward(
            scale.expand(prediction.shape), prediction, target, weight, 0
        )
        return d_prediction

    def _second(self, saved: tuple[Tensor, Tensor]) -> Tensor:
        """The second derivative of each value; of the denominator's bound, where it is that."""
        (prediction, target), weight = saved, fitting_weight(self, "weight", self.weight, saved[0])
        p, t = wide(prediction), wide(target)
        spread = p * (1 - p)
        second = (t * (1 - p).square() + (1 - t) * p.square()) / spread.square()
        second = second.where(spread > SPREAD, 1 / SPREAD)
        second = second if weight is None else second * weight
        return second.clamp(max=torch.finfo(prediction.dtype).max).to(prediction.dtype)

    tangent, backward_tangent = elementwise(_second)

    def _computed(self, p: Tensor, t: Tensor, weight: Tensor | None) -> Tensor:
        """The value by the formula, NaN of what is no probability: the kernel for a GPU would end the process."""
        each = (t - 1) * torch.log1p(-p).clamp(min=-100) - t * p.log().clamp(min=-100)
        return reduce(self.reduction, each if weight is None else each * weight)

    def _require_probabilities(self, name: str, values: Tensor, error: RuntimeError) -> None:
        wrong = values[~((values >= 0) & (values <= 1))]
        if wrong.numel():
            raise ArgumentError(
                f"BCELoss: {name} must be between 0 and 1, got {wrong[0].item()}; for scores (logits), use "
                "BCEWithLogitsLoss"
            ) from error
