"""The cross entropy of classes whose scores are a linear map of the input, computed a part of the rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    ShapeError,
    require_d_value,
    require_dimensions,
    require_flags,
    require_last_axis,
    require_like,
    require_saved,
    require_whole,
)
from mytorch.nn.linear import Linear
from mytorch.nn.loss._classes import class_axis
from mytorch.nn.loss._cross_entropy import Kept, OfScores
from mytorch.plugins import shown

Saved = tuple[Tensor, Tensor, list[Kept]]
"""Input, target, and what the loss of the scores needs, unless that is computed again."""


class LinearCrossEntropyLoss(OfScores):
    """Linear, then CrossEntropyLoss: for very many classes, whose scores need not be held for all rows at once.

    Forward:   scores = input @ linear.weight.T + linear.bias, with out_features as the axes behind the classes;
               value = the CrossEntropyLoss of scores and target, its weight, ignore_index, label_smoothing and
               reduction; with batch_chunk_size, of as many rows at a time, whose scores backward computes again
    Backward:  d_scores = that of CrossEntropyLoss; d_input = d_scores @ linear.weight;
               linear's d_weight = sum of outer(d_scores, input);  its d_bias = sum of d_scores
    Shapes:    input: (batch, in_features) or (in_features,);  weight: (num_classes,);
               target: int64 class indices (batch, *out_features) or (), or probabilities (batch, num_classes,
               *out_features) or (num_classes,);  linear.weight: (num_classes * sizes in out_features, in_features);
               value: (), for none that of indices
    Raises:    ShapeError or DtypeError unless input, target and weight fit; ArgumentError for sizes, weights and
               label_smoothing out of range, for ignore_index with probabilities, and on the CPU for a class of the
               target that there is not
    Initial:   that of Linear
    Source:    Wijmans et al. 2024, "Cut your losses in large-vocabulary language models", for never holding all
               scores; torch takes batch_chunk_size in its options=LinearCrossEntropyOptions(batch_chunk_size=...)

    Example:
        >>> loss = LinearCrossEntropyLoss(3, 1000, batch_chunk_size=2)
        >>> loss(torch.zeros(5, 3), torch.tensor([0, 999, 3, 4, 5]))
        tensor(6.9078)
    """

    outputs = "numbers"  # a prediction is what the classes' scores are made of
    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"in_features": 3, "num_classes": 4, "bias": True, "batch_chunk_size": 2},
        "inputs": [(5, 3), torch.tensor([0, 3, 1, 1, 2])],
    }

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: Sequence[int] = (),
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        batch_chunk_size: int | None = None,
    ) -> None:
        require_flags(self, bias=bias)
        self._set(weight, -100 if ignore_index is None else ignore_index, reduction, label_smoothing)
        require_whole(self, "in_features", in_features)
        if not isinstance(out_features, Sequence):
            raise ArgumentError(
                f"{type(self).__name__}: out_features must be a tuple of whole numbers, got {shown(out_features)}"
            )
        for size in (num_classes, *out_features):
            require_whole(self, "num_classes and each of out_features", size, 1)
        if batch_chunk_size is not None:
            require_whole(self, "batch_chunk_size", batch_chunk_size, 1)
        self.num_classes, self.out_features = num_classes, tuple(out_features)
        self.batch_chunk_size, self._of_classes_only = batch_chunk_size, ignore_index is not None
        sizes = math.prod(self.out_features, start=num_classes)
        self.linear = Linear(in_features, sizes, bias=bias, device=device, dtype=dtype)

    def forward(
        self,
        input: Tensor,  # noqa: A002 - torch's name
        target: Tensor,
    ) -> tuple[Tensor, Saved]:
        self._require_fitting(input, target)
        if self.batch_chunk_size is None or input.dim() == 1:
            value, kept = self._computed(self._scores(input), target, self.reduction)
            return value, (input, target, [kept])
        parts = zip(input.split(self.batch_chunk_size), target.split(self.batch_chunk_size), strict=True)
        each = "none" if self.reduction == "none" else "sum"
        values = [self._computed(self._scores(rows), wanted, each)[0] for rows, wanted in parts]
        if self.reduction == "none":
            return torch.cat(values), (input, target, [])
        value = torch.stack(values).sum()
        if self.reduction == "mean":
            value = (value / self._divisor(input, target)).to(input.dtype)
        return value, (input, target, [])

    def backward(self, d_value: float | Tensor, saved: Saved) -> Tensor:
        require_saved(self, saved, Tensor, Tensor, list)
        x, target, kept = saved
        self._require_own(x)
        rows = (*x.shape[:-1], *self.out_features)
        require_d_value(self, d_value, rows if self.reduction == "none" else (), x)
        if kept:  # popped, so that the scores are gone when the weights' gradient is computed
            return self._through_linear(self._gradient(d_value, kept.pop(), target), x)
        d_x = torch.empty_like(x)
        for part, kept_of_part, whole in self._by_part(x, target):
            d_scores = self._gradient(_rows_of(d_value, part), kept_of_part, target[part], whole)
            d_x[part] = self._through_linear(d_scores, x[part])
        return d_x

    def tangent(self, t_x: Tensor, saved: Saved, along: Directions) -> tuple[Tensor, Tensor]:
        x, target, kept = saved
        t_rows = []
        for part, kept_of_part, whole in self._by_part(x, target, kept):
            d_scores = self._gradient(1.0, kept_of_part, target[part], whole)
            t_rows.append((d_scores * self._t_scores(x[part], t_x[part], along)).sum(class_axis(d_scores)))
        t_values = t_rows[0] if kept else torch.cat([x.new_zeros(0, *self.out_features), *t_rows])
        return t_values if self.reduction == "none" else t_values.sum(), t_x

    def backward_tangent(
        self, d_value: float | Tensor, t_d_value: float | Tensor, saved: Saved, t_x: Tensor, along: Directions
    ) -> tuple[Tensor, Tensor]:
        x, target, kept = saved
        d_x, t_d_x = torch.empty_like(x), torch.empty_like(x)
        for part, kept_of_part, whole in self._by_part(x, target, kept):
            d_part, t_scores = _rows_of(d_value, part), self._t_scores(x[part], t_x[part], along)
            d_scores = self._gradient(d_part, kept_of_part, target[part], whole)
            t_d_scores = self._gradient(_rows_of(t_d_value, part), kept_of_part, target[part], whole)
            t_d_scores = t_d_scores + self._bend(d_part, kept_of_part[0], target[part], t_scores, whole)
            rows = (*x[part].shape[:-1], self.linear.out_features)
            of_scores = d_scores.reshape(rows), t_d_scores.reshape(rows)
            found = self.linear.backward_tangent(*of_scores, x[part], t_x[part], along)
            d_x[part], t_d_x[part] = cast(tuple[Tensor, Tensor], found)
        return d_x, t_d_x

    def weight_of(self, prediction: Tensor, target: Tensor) -> int | Tensor:
        if target.is_floating_point():
            return prediction.shape[:-1].numel() * math.prod(self.out_features)
        return self._sum_of_weights(target)

    def _by_part(self, x: Tensor, target: Tensor, kept: Sequence[Kept] = ()) -> Iterator[tuple[Any, Kept, Any]]:
        """Which rows; what the loss of their scores needs, computed again unless it was kept; by what a mean of all
        rows is divided, where these are a part of them."""
        if kept:
            yield ..., kept[0], None
            return
        size = self.batch_chunk_size or max(len(x), 1)
        whole = self._divisor(x, target) if self.reduction == "mean" else None
        each = "none" if self.reduction == "none" else "sum"
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            yield part, self._computed(self._scores(x[part]), target[part], each)[1], whole

    def _t_scores(self, x: Tensor, t_x: Tensor, along: Directions) -> Tensor:
        """The change of the scores."""
        t_scores, _ = self.linear.tangent(t_x, x, along)
        return t_scores.view(*x.shape[:-1], self.num_classes, *self.out_features)

    def _divisor(self, x: Tensor, target: Tensor) -> int | Tensor:
        """By what the mean over all rows is divided; in no half precision, which counts to 256."""
        total = self.weight_of(x, target)
        return total.to(torch.promote_types(x.dtype, torch.float32)) if isinstance(total, Tensor) else total

    def _scores(self, x: Tensor) -> Tensor:
        """The scores of each class: (batch, num_classes, *out_features) or (num_classes,)."""
        scores: Tensor = self.linear(x)
        return scores.view(*x.shape[:-1], self.num_classes, *self.out_features)

    def _through_linear(self, d_scores: Tensor, x: Tensor) -> Tensor:
        return cast(Tensor, self.linear.backward(d_scores.reshape(*x.shape[:-1], self.linear.out_features), x))

    def _require_fitting(self, x: Tensor, target: Tensor) -> None:
        require_dimensions(self, x, 1, 2, name="input")
        require_last_axis(self, x, self.linear.in_features, name="input")
        require_like(self, x, self.linear.weight.value, "input")
        if x.dim() == 1 and self.out_features:
            raise ShapeError(f"{type(self).__name__}: input must have a batch with out_features, got {tuple(x.shape)}")
        shape = (*x.shape[:-1], self.num_classes, *self.out_features)
        self._check(x.new_empty(()).expand(shape), target)  # of the scores, the numbers do not count
        if self._of_classes_only and target.is_floating_point():
            raise ArgumentError(
                f"{type(self).__name__}: ignore_index must be left out where the target holds probabilities, "
                f"got {self.ignore_index}"
            )

    def _require_own(self, x: Tensor) -> None:
        if x.shape[-1] != self.linear.in_features:
            raise ArgumentError(
                f"{type(self).__name__}: saved must be that of a loss of {self.linear.in_features} in_features, got "
                f"one of {x.shape[-1]}; give each backward the saved value of its own forward"
            )


def _rows_of(d_value: Any, part: Any) -> Any:
    """The upstream gradients of a part of the rows, where each has its own."""
    return d_value[part] if isinstance(d_value, Tensor) and d_value.dim() else d_value
