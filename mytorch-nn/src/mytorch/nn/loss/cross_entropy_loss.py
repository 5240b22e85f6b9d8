"""The cross entropy of classes."""

from __future__ import annotations

from torch import Tensor

from mytorch.core import ArgumentError, require_d_value, require_saved
from mytorch.nn.loss._classes import class_axis, without
from mytorch.nn.loss._cross_entropy import OfScores

_TOTAL = Tensor | None
Saved = tuple[Tensor, Tensor, Tensor | None]


class CrossEntropyLoss(OfScores):
    """Cross entropy of probabilities p = softmax(prediction) over the classes with the wanted ones.

    Wanted:    q = weight * ((1 - s) * t + s / classes), s = label_smoothing;
               t: 1 at the target's class, else 0 (no class at all for ignore_index), or the target itself
    Forward:   value = sum of -q * log(p) over the classes, then reduction: sum, or none, or
               mean: divided by the sum of weight[target] over what is not ignored; for probabilities by their count;
               of nothing, NaN as in torch
    Backward:  d_prediction = d_value * (p * (sum of q over the classes) - q), divided as the value is;
               0 for the mean of nothing
    Kernel:    aten.nll_loss_backward and aten._log_softmax_backward_data, for class indices without label_smoothing
    Shapes:    prediction: (batch, classes, ...) or (classes,);  weight: (classes,)
               target: int64 class indices (batch, ...) or (), or probabilities in the shape of the prediction;
               value: (), for none (batch, ...)
    Raises:    ShapeError or DtypeError unless target and weight fit the prediction; ArgumentError for weights below 0,
               and on the CPU for a class that the prediction has not
    Source:    Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs, with
               relationships to statistical pattern recognition"; label_smoothing: Szegedy et al. 2015, "Rethinking the
               Inception architecture for computer vision"

    Example:
        >>> CrossEntropyLoss()(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
        tensor(0.2201)
    """

    outputs = "softmax"

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self._set(weight, ignore_index, reduction, label_smoothing)

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Saved]:
        self._check(prediction, target)
        if self.ignore_index >= 0 and target.is_floating_point():
            raise ArgumentError(
                "CrossEntropyLoss: ignore_index must be below 0 where the target holds probabilities, of which none "
                f"is ignored, got {self.ignore_index}"
            )
        value, kept = self._computed(prediction, target, self.reduction)
        return value, (target, *kept)

    def backward(self, d_value: float | Tensor, saved: Saved) -> Tensor:
        require_saved(self, saved, Tensor, Tensor, _TOTAL)
        target, values, total = saved
        shape = without(values.shape, class_axis(values)) if self.reduction == "none" else ()
        require_d_value(self, d_value, shape, values)
        return self._gradient(d_value, (values, total), target)

    def weight_of(self, prediction: Tensor, target: Tensor) -> int | Tensor:
        if target.is_floating_point():
            return without(prediction.shape, class_axis(prediction)).numel()
        return self._sum_of_weights(target)
