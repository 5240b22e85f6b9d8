"""What the cross entropies of scores share: value, gradient and checks, for class indices and for probabilities."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import (
    Buffer,
    DtypeError,
    Loss,
    ShapeError,
    require_floating,
    require_input,
    require_range,
    require_same_device,
    require_same_shape,
    require_whole,
)
from mytorch.nn.loss._classes import (
    along,
    arranged,
    class_axis,
    require_class_weights,
    require_known_classes,
    require_weight_fits,
    unknown_class,
    without,
)
from mytorch.nn.loss._reduction import CODES, per_element, require_reduction, upstream_tensor

aten = torch.ops.aten
Kept = tuple[Tensor, Tensor | None]
"""The scores and None, or for class indices without smoothing their log_softmax and the sum of their weights."""


class OfScores(Loss):
    """The base of cross entropies of softmax(scores) with classes, or with probabilities of classes."""

    weight: Buffer | None

    def _set(self, weight: Tensor | None, ignore_index: int, reduction: str, label_smoothing: float) -> None:
        """Keep the arguments. Raises ArgumentError for one that is out of range."""
        require_reduction(self, reduction)
        require_range(self, "label_smoothing", label_smoothing, 0, 1)
        require_whole(self, "ignore_index", ignore_index, None)
        if weight is not None:
            require_class_weights(self, weight)
        self.weight = None if weight is None else Buffer(weight)
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing

    def _computed(self, scores: Tensor, target: Tensor, reduction: str) -> tuple[Tensor, Kept]:
        """The value, and what `_gradient` needs beside the target."""
        weight = None if self.weight is None else self.weight.value
        by_kernel = not target.is_floating_point() and not self.label_smoothing
        try:  # the kernel looks at every class anyway
            if not by_kernel:
                value = F.cross_entropy(
                    scores,
                    target,
                    weight,
                    ignore_index=self.ignore_index,
                    reduction=reduction,
                    label_smoothing=self.label_smoothing,
                )
                return value, (scores, None)
            log_p = scores.log_softmax(class_axis(scores))
            kernel = aten.nll_loss_forward if scores.dim() <= 2 else aten.nll_loss2d_forward
            value, total = kernel(*arranged(log_p, target), weight, CODES[reduction], self.ignore_index)
        except IndexError as error:
            raise unknown_class(self, scores, target) from error
        return value.view(target.shape) if reduction == "none" else value, (log_p, total)

    def _gradient(self, d_value: Any, kept: Kept, target: Tensor, whole: Any = None) -> Tensor:
        """The gradient of the scores; whole: by what the mean is divided, where these are a part of its rows."""
        values, total = kept
        axis = class_axis(values)
        require_weight_fits(self, self.weight, values, axis)
        if total is not None:
            return self._by_kernel(d_value, values, target, total, whole)
        if isinstance(d_value, Tensor) and d_value.dim():
            d_value = d_value.unsqueeze(axis)
        if target.is_floating_point():
            return self._of_probabilities(d_value, values, target, axis, whole).to(values.dtype)
        try:
            return self._of_indices(d_value, values, target.unsqueeze(axis), axis, whole)
        except RuntimeError as error:  # another loss saved a target that only it ignores
            if "out of bounds" in str(error):
                raise unknown_class(self, values, target) from error
            raise

    def _by_kernel(self, d_value: Any, log_p: Tensor, target: Tensor, total: Tensor, whole: Any) -> Tensor:
        """Through the negative log-likelihood of class indices, then through log_softmax."""
        d_each = upstream_tensor(self, d_value, target.shape, log_p)
        code = CODES[self.reduction]
        if self.reduction == "mean":
            if whole is not None:
                d_each, code = (d_each / whole).to(log_p.dtype), CODES["sum"]
            total = total.where(total != 0, torch.inf)  # 0 only if all are ignored, or if their weights are
        x, t = arranged(log_p, target)
        weight = None if self.weight is None else self.weight.value
        kernel = aten.nll_loss_backward if log_p.dim() <= 2 else aten.nll_loss2d_backward
        try:
            d_x = kernel(
                d_each.view(t.shape) if d_each.dim() else d_each, x, t, weight, code, self.ignore_index, total
            )
        except IndexError as error:
            raise unknown_class(self, log_p, target) from error
        d_log_p = d_x if x is log_p else d_x.view(log_p.shape)
        return torch._log_softmax_backward_data(d_log_p, log_p, class_axis(log_p), log_p.dtype)

    def _weights(self, target: Tensor, counted: Tensor) -> Tensor:
        """The weight of each target's class, 0 for those that are ignored."""
        weight = self.weight.value[target.where(counted, 0)]  # type: ignore[union-attr]
        return weight * counted

    def _sum_of_weights(self, target: Tensor) -> Tensor:
        """By what the mean over class indices is divided."""
        counted = target != self.ignore_index
        return counted.count_nonzero() if self.weight is None else self._weights(target, counted).sum()

    def _bend(self, d_value: Any, values: Tensor, target: Tensor, t_scores: Tensor, whole: Any = None) -> Tensor:
        """How the gradient of the scores changes as they move along t_scores; whole: as in `_gradient`.

        values: the scores, or their log_softmax, of which softmax makes the same.
        """
        axis = class_axis(values)
        p = values.softmax(axis)
        t_p = p * (t_scores - (p * t_scores).sum(axis, keepdim=True))
        d_each = d_value.unsqueeze(axis) if isinstance(d_value, Tensor) and d_value.dim() else d_value
        return t_p * self._mass(values, target, whole) * d_each

    def _mass(self, scores: Tensor, target: Tensor, whole: Any = None) -> Tensor:
        """The sum of the target's probabilities times the weights, divided as the value is: (batch, 1, ...)."""
        axis, s = class_axis(scores), self.label_smoothing
        classes = scores.shape[axis]
        every = scores.new_ones(classes) if self.weight is None else self.weight.value
        if target.is_floating_point():
            t = target.movedim(axis, -1)
            mass = t.to(scores.dtype) @ every * (1 - s) + every.sum() * (s / classes)
        else:
            counted = target != self.ignore_index
            mass = (every[target.where(counted, 0)] * (1 - s) + every.sum() * (s / classes)) * counted
        if self.reduction == "mean":
            whole = torch.as_tensor(self._count(scores, target) if whole is None else whole, device=mass.device)
            mass = mass / whole.where(whole != 0, 1)  # of the mean of nothing, whose gradient is 0, too
        return mass.unsqueeze(axis)

    def _count(self, scores: Tensor, target: Tensor) -> int | Tensor:
        """By what the mean is divided."""
        if target.is_floating_point():
            return without(scores.shape, class_axis(scores)).numel()
        return self._sum_of_weights(target)

    def _of_probabilities(self, d_value: Any, scores: Tensor, target: Tensor, axis: int, whole: Any) -> Tensor:
        classes, s = scores.shape[axis], self.label_smoothing
        q = target * (1 - s) + s / classes if s else target
        if self.weight is not None:
            q = q * along(self.weight.value, scores, axis)
        count = scores.numel() // max(classes, 1) if whole is None else whole
        scale = per_element(self.reduction, d_value, count)
        return scores.softmax(axis).mul_(q.sum(axis, keepdim=True)).sub_(q).mul_(scale)

    def _of_indices(self, d_value: Any, scores: Tensor, target: Tensor, axis: int, whole: Any) -> Tensor:
        counted = target != self.ignore_index
        index = target.where(counted, 0)
        weight = None if self.weight is None else self.weight.value
        # the weight of each target's class: (batch, 1, ...)
        hit = counted.to(scores.dtype) if weight is None else self._weights(target, counted)
        if self.reduction == "mean":
            total = hit.sum() if whole is None else whole  # 0 only if all are ignored, or if the weights are
            scale = d_value / (total if weight is None else total.where(total != 0, torch.inf))
        else:
            scale = d_value * torch.ones_like(hit)
        scale = scale.where(counted, 0)  # if all are ignored, 1 / 0 must not make them NaN
        s, classes = self.label_smoothing, scores.shape[axis]
        d_scores = scores.softmax(axis)
        if s:
            every = scores.new_ones(classes) if weight is None else weight
            hit = hit * (1 - s)
            d_scores.mul_(scale * (hit + every.sum() * (s / classes)))
            d_scores.sub_(scale * (along(every, scores, axis) * (s / classes)))
        else:
            d_scores.mul_(scale * hit)
        return d_scores.scatter_add_(axis, index, -(scale * hit).to(scores.dtype))

    def _check(self, prediction: Tensor, target: Tensor) -> None:
        name = type(self).__name__
        require_floating(self, prediction, "prediction")
        require_input(self, target, "target")
        require_same_device(self, target, prediction, "target", "prediction")
        if prediction.dim() == 0:
            raise ShapeError(f"{name}: prediction must have an axis of classes, got a tensor without axes")
        axis = class_axis(prediction)
        if not prediction.shape[axis]:
            raise ShapeError(f"{name}: prediction must have at least one class, got {tuple(prediction.shape)}")
        require_weight_fits(self, self.weight, prediction, axis)
        rows = without(prediction.shape, axis)
        if target.is_floating_point():
            require_floating(self, target, "target")
            if target.shape == rows:
                raise DtypeError(
                    f"{name}: target must be int64 where it holds class indices, got {target.dtype}; "
                    "convert with .long()"
                )
            require_same_shape(self, prediction, target)
        elif target.dtype != torch.int64:
            raise DtypeError(
                f"{name}: target must be int64 class indices or floating-point probabilities, "
                f"got {target.dtype}; convert with .long() or .float()"
            )
        elif target.shape != rows:
            raise ShapeError(
                f"{name}: target must have the shape {tuple(rows)}, a class index for each prediction of "
                f"{tuple(prediction.shape)}, got {tuple(target.shape)}"
            )
        else:
            require_known_classes(self, prediction, target)
