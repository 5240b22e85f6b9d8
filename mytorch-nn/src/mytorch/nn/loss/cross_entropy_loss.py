"""The cross entropy of classes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Directions, require_d_value, require_saved
from mytorch.nn.loss._classes import class_axis, without
from mytorch.nn.loss._cross_entropy import OfScores
from mytorch.nn.loss._reduction import drawn_share
from mytorch.nn.loss._tangents import tangent_of_value

_TOTAL = Tensor | None
Saved = tuple[Tensor, Tensor, Tensor | None]
AT_ONCE = 2**19
"""How many numbers of columns of the Hessian's root are computed at once, or one column if that has more."""


class CrossEntropyLoss(OfScores):
    """Cross entropy of probabilities p = softmax(prediction) over the classes with the wanted ones.

    Wanted:    q = weight * ((1 - s) * t + s / classes), s = label_smoothing;
               t: 1 at the target's class, else 0 (no class at all for ignore_index), or the target itself
    Forward:   value = sum of -q * log(p) over the classes, then reduction: sum, or none, or
               mean: divided by the sum of weight[target] over what is not ignored; for probabilities by their count;
               of nothing, NaN as in torch
    Backward:  d_prediction = d_value * (p * (sum of q over the classes) - q), divided as the value is;
               0 for the mean of nothing
    Hessian:   (sum of q over the classes) * (diag(p) - outer(p, p)) at each place, divided as the value is; draws take
               classes with the probabilities p
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

    def tangent(self, t_prediction: Tensor, saved: Saved, along: Directions) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return tangent_of_value(self, t_prediction, saved, class_axis(t_prediction)), t_prediction

    def backward_tangent(
        self,
        d_value: float | Tensor,
        t_d_value: float | Tensor,
        saved: Saved,
        t_prediction: Tensor,
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor, Tensor]:
        target, values, _ = saved
        bend = self._bend(d_value, values, target, t_prediction)
        return self.backward(d_value, saved), self.backward(t_d_value, saved) + bend

    def weight_of(self, prediction: Tensor, target: Tensor) -> int | Tensor:
        return self._count(prediction, target)

    def hessian_root(self, prediction: Tensor, target: Tensor, draws: int | None = None) -> Iterator[Tensor]:
        self._check(prediction, target)
        axis = class_axis(prediction)
        p = prediction.softmax(axis)
        root = self._mass(prediction, target).sqrt()
        if draws is None:
            for column in _columns(p.unsqueeze(0) if axis == 0 else p):
                yield column.reshape(p.shape) * root
            return
        rows = p.movedim(axis, -1)
        for _ in range(draws):
            drawn = torch.multinomial(rows.reshape(-1, rows.shape[-1]), 1).reshape(rows.shape[:-1]).unsqueeze(axis)
            yield p.scatter_add(axis, drawn, -torch.ones_like(root)) * (root * drawn_share(draws))


def _columns(p: Tensor) -> Iterator[Tensor]:
    """The columns sqrt(p[c]) * (e[c] - p) of each class and place; p: (batch, classes, ...)."""
    flat = p.flatten(2) if p.dim() > 2 else p.unsqueeze(2)
    classes = torch.arange(flat.shape[1], device=p.device)
    for place in range(flat.shape[2]):
        at = flat[..., place]
        for some in classes.split(max(1, AT_ONCE // max(at.numel(), 1))):
            unit = (some.unsqueeze(1) == classes).to(p.dtype).unsqueeze(1)
            for columns in (unit - at) * at[:, some].sqrt().T.unsqueeze(2):  # (some, batch, classes)
                column = torch.zeros_like(flat)
                column[..., place] = columns
                yield column
