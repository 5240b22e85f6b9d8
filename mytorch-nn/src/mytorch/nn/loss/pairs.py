"""Losses that compare several predictions with each other."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    DtypeError,
    Loss,
    Module,
    ShapeError,
    StateError,
    kind_of,
    require_dimensions,
    require_flags,
    require_floating,
    require_input,
    require_pair,
    require_range,
    require_same_device,
    require_saved,
)
from mytorch.nn._norm import p_norm, p_norm_backward, p_norm_bend, p_norm_tangent
from mytorch.nn._own import require_own
from mytorch.nn._tangents import backward_of_both
from mytorch.nn.distance import PairwiseDistance
from mytorch.nn.loss._reduction import real, reduce, require_reduction, require_signs, scale_, scaled, upstream
from mytorch.nn.loss._tangents import added_up

Pair = tuple[Tensor, Tensor]
Triplet = tuple[Tensor, Tensor, Tensor]
Apart = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
Measured = tuple[Tensor, Tensor, Tensor, list[Any]]
EPSILON = 9.999999960041972e-13  # torch's 1e-12, a float32; it keeps the cosine of vectors of length 0 finite


class MarginRankingLoss(Loss):
    """Scores of which the first should be larger by a margin where the target t is 1, and the second where it is -1.

    Forward:   z = margin - t * (input1 - input2);  value = average of max(0, z); reduction: mean, or sum, or none
    Backward:  d_input1 = -d_value * t / count where z >= 0, else 0;  d_input2 = -d_input1;
               for sum and none without the division
    Shapes:    input1, input2, target: any, the same;  value: (), for none the same
    Raises:    ShapeError unless all have one shape; DtypeError unless the inputs are floating point and the target
               real; ArgumentError unless the margin is a number, and on the CPU for a target that is not 1 or -1
    Source:    Herbrich, Graepel and Obermayer 2000, "Large margin rank boundaries for ordinal regression"

    Example:
        >>> MarginRankingLoss()(torch.tensor([2.0, 1.0]), torch.tensor([1.0, 3.0]), torch.tensor([1, 1]))
        tensor(1.)
    """

    outputs = "scores"
    conformance: ClassVar[dict[str, Any]] = {
        "inputs": [(5,), (5,), torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0])],
        "predictions": 2,
    }

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        require_reduction(self, reduction)
        require_range(self, "margin", margin)
        self.margin, self.reduction = margin, reduction

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        _require_alike(self, input1=input1, input2=input2)
        _require_targets(self, target, input1, input1.shape)
        t = real(self, target, input1.dtype)
        require_signs(self, t)
        short = self.margin - t * (input1 - input2)
        return reduce(self.reduction, short.clamp(min=0)), t.where(short >= 0, 0)

    def backward(self, d_value: float | Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        require_saved(self, slope, Tensor)
        d_input2 = scaled(slope, upstream(self, d_value, slope.shape, slope))
        return -d_input2, d_input2

    def tangent(self, t_prediction: Pair, slope: Tensor, along: Directions) -> tuple[Tensor, None]:  # noqa: ARG002
        t_input1, t_input2 = t_prediction
        return added_up(self, slope * (t_input2 - t_input1)), None

    backward_tangent = backward_of_both

    def weight_of(self, prediction: Any, target: Tensor) -> int:  # noqa: ARG002
        return target.numel()


class CosineEmbeddingLoss(Loss):
    """Vectors that should point one way where the target t is 1, and apart where it is -1.

    Forward:   cos = (a . b) / n, n = sqrt(m1 * m2), m1 = a . a + 1e-12, m2 = b . b + 1e-12; a = input1, b = input2;
               value = average over the rows of 1 - cos where t is 1, max(0, cos - margin) where it is -1;
               reduction: mean, or sum, or none
    Backward:  k = -d_value / rows where t is 1, d_value / rows where it is -1 and cos >= margin, else 0;
               d_input1 = k * (b / n - cos * a / m1);  d_input2 = k * (a / n - cos * b / m2);
               for sum and none without the division by the rows
    Shapes:    input1, input2: (batch, dim) or (dim,);  target: (batch,) or ();  value: (), for none that of the target
    Raises:    ShapeError unless the shapes fit; DtypeError unless the inputs are floating point and the target real;
               ArgumentError unless the margin is a number, and on the CPU for a target that is not 1 or -1
    Source:    torch.nn.CosineEmbeddingLoss, whose definition it follows; pairs compared by their cosine: Bromley et
               al. 1993, "Signature verification using a siamese time delay neural network"

    Example:
        >>> CosineEmbeddingLoss()(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
        tensor(0.4000)
    """

    outputs = "numbers"
    conformance: ClassVar[dict[str, Any]] = {
        "inputs": [(5, 3), (5, 3), torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0])],
        "predictions": 2,
    }

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        require_reduction(self, reduction)
        require_range(self, "margin", margin)
        self.margin, self.reduction = margin, reduction

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        require_dimensions(self, input1, 1, 2, name="input1")
        _require_alike(self, input1=input1, input2=input2)
        _require_targets(self, target, input1, input1.shape[:-1])
        t = real(self, target, input1.dtype)
        require_signs(self, t)
        m1, m2 = input1.square().sum(-1) + EPSILON, input2.square().sum(-1) + EPSILON
        cos = (input1 * input2).sum(-1) / (m1 * m2).sqrt()
        apart = cos - self.margin
        values = (1 - cos).where(t == 1, apart.clamp(min=0))
        return reduce(self.reduction, values), (input1, input2, (-t).where((t == 1) | (apart >= 0), 0), cos, m1, m2)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        require_saved(self, saved, *(Tensor,) * 6)
        a, b, slope, cos, m1, m2 = saved
        k = scaled(slope, upstream(self, d_value, slope.shape, slope))
        across = (k / (m1 * m2).sqrt()).unsqueeze(-1)
        along1, along2 = (k * cos / m1).unsqueeze(-1), (k * cos / m2).unsqueeze(-1)
        return (across * b).addcmul_(along1, a, value=-1), (across * a).addcmul_(along2, b, value=-1)

    def tangent(
        self,
        t_prediction: Pair,
        saved: tuple[Tensor, ...],
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        (t_a, t_b), (a, b, slope, cos, m1, m2) = t_prediction, saved
        t_m1, t_m2 = 2 * (a * t_a).sum(-1), 2 * (b * t_b).sum(-1)
        t_n = (t_m1 / m1 + t_m2 / m2) / 2  # the change of n divided by n
        t_cos = (t_a * b + a * t_b).sum(-1) / (m1 * m2).sqrt() - cos * t_n
        return added_up(self, slope * t_cos), (t_a, t_b, t_cos, t_m1, t_m2, t_n)

    def backward_tangent(
        self,
        d_value: float | Tensor,
        t_d_value: float | Tensor,
        saved: tuple[Tensor, ...],
        t_saved: tuple[Tensor, ...],
        along: Directions,
    ) -> tuple[Pair, Pair]:
        (a, b, slope, cos, m1, m2), (t_a, t_b, t_cos, t_m1, t_m2, t_n) = saved, t_saved
        d, (t_d_a, t_d_b) = backward_of_both(self, d_value, t_d_value, saved, t_saved, along)
        k = scaled(slope, upstream(self, d_value, slope.shape, slope))
        across = k / (m1 * m2).sqrt()
        t_across = -across * t_n

        def change(v: Tensor, t_v: Tensor, other: Tensor, t_other: Tensor, m: Tensor, t_m: Tensor) -> Tensor:
            along_v = k * cos / m
            t_along_v = k * t_cos / m - along_v * t_m / m
            rows = ((across, t_other), (t_across, other), (-along_v, t_v), (-t_along_v, v))
            return sum((row.unsqueeze(-1) * each for row, each in rows), torch.zeros_like(v))

        return d, (t_d_a + change(a, t_a, b, t_b, m1, t_m1), t_d_b + change(b, t_b, a, t_a, m2, t_m2))

    def weight_of(self, prediction: Any, target: Tensor) -> int:  # noqa: ARG002
        return target.numel()


class TripletMarginLoss(Loss):
    """Vectors that should be nearer to their positive than to their negative example, by a margin.

    Forward:   dist(u) = (sum of |u[i]|^p)^(1 / p);  near = dist(anchor - positive + eps),
               far = dist(anchor - negative + eps), with swap the smaller of it and dist(positive - negative + eps);
               value = average over the rows of max(0, margin + near - far); reduction: mean, or sum, or none
    Backward:  k = d_value / rows where margin + near - far >= 0, else 0; for sum and none d_value;
               d_u = sign(u) * (|u| / dist(u))^(p - 1) for each distance, 0 where dist(u) is 0;
               d_anchor = k * (d_near - d_far);  d_positive = -k * d_near;  d_negative = k * d_far;
               with swap, the part of far goes to the two vectors that are nearer, half to each pair if they are equal
    Shapes:    anchor, positive, negative: (batch, dim) or (dim,);  value: (), for none (batch,) or ()
    Raises:    ArgumentError unless margin is above 0 and p a number of at least 1;
               ShapeError unless all have one shape; DtypeError unless they are floating point, all of one dtype
    Source:    Balntas et al. 2016, "Learning local feature descriptors with triplets and shallow convolutional neural
               networks"

    Example:
        >>> TripletMarginLoss()(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([[5.0, 0.0]]))
        tensor(1.0000)
    """

    outputs = "numbers"
    conformance: ClassVar[dict[str, Any]] = {"inputs": [(5, 3), (5, 3), (5, 3)], "predictions": 3}

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        require_flags(self, swap=swap)
        require_reduction(self, reduction)
        require_range(self, "margin", margin, 0)
        if not margin:
            raise ArgumentError(f"TripletMarginLoss: margin must be above 0, got {margin}")
        require_range(self, "p", p, 1, 1e6)
        require_range(self, "eps", eps)
        self.margin, self.p, self.eps, self.swap, self.reduction = margin, p, eps, swap, reduction

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Apart]:
        require_dimensions(self, anchor, 1, 2, name="anchor")
        _require_alike(self, anchor=anchor, positive=positive, negative=negative)
        pairs = [(anchor, positive), (anchor, negative), (positive, negative)][: 2 + self.swap]
        apart = tuple((x1 - x2).add_(self.eps) for x1, x2 in pairs)
        lengths = tuple(p_norm(u, self.p) for u in apart)
        return reduce(self.reduction, self._short(lengths).clamp_(min=0)), (apart, lengths)

    def backward(self, d_value: float | Tensor, saved: Apart) -> tuple[Tensor, Tensor, Tensor]:
        require_saved(self, saved, tuple, tuple)
        apart, lengths = saved
        require_own(self, "swap", self.swap, len(apart) == 3)
        near, far = lengths[:2]
        k = scale_((self._short(lengths) >= 0).to(near.dtype), upstream(self, d_value, near.shape, near))
        share = _share(far, lengths[2]) if self.swap else 1
        d_positive = p_norm_backward(-k, apart[0], near, self.p)
        d_negative = p_norm_backward(k * share, apart[1], far, self.p)
        d_other = p_norm_backward(k * (1 - share), apart[2], lengths[2], self.p) if self.swap else None
        del saved, apart  # so that memory falls before the sum is made
        d_anchor = (d_positive + d_negative).neg_()
        if d_other is not None:
            d_positive.sub_(d_other)
            d_negative.add_(d_other)
        return d_anchor, d_positive, d_negative

    def tangent(
        self,
        t_prediction: Triplet,
        saved: Apart,
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        apart, lengths = saved
        t_anchor, t_positive, t_negative = t_prediction
        pairs = [(t_anchor, t_positive), (t_anchor, t_negative), (t_positive, t_negative)]
        t_apart = tuple(t_x1 - t_x2 for (t_x1, t_x2), _ in zip(pairs, apart, strict=False))
        t_lengths = map(p_norm_tangent, t_apart, apart, lengths, [self.p] * len(apart))
        t_short = _t_short(lengths, tuple(t_lengths))
        return added_up(self, t_short.where(self._short(lengths) >= 0, 0)), t_apart

    def backward_tangent(
        self,
        d_value: float | Tensor,
        t_d_value: float | Tensor,
        saved: Apart,
        t_apart: tuple[Tensor, ...],
        along: Directions,
    ) -> tuple[Triplet, Triplet]:
        apart, lengths = saved
        d, t_d = backward_of_both(self, d_value, t_d_value, saved, t_apart, along)
        active = (self._short(lengths) >= 0).to(lengths[0].dtype)
        d_lengths = _d_lengths(scale_(active, upstream(self, d_value, active.shape, active)), lengths)
        bends = [
            p_norm_bend(d_length, t_u, u, length, self.p)
            for d_length, t_u, u, length in zip(d_lengths, t_apart, apart, lengths, strict=True)
        ]
        change = _of_vectors([(bend, -bend) for bend in bends])
        return d, tuple(each + bend for each, bend in zip(t_d, change, strict=True))

    def weight_of(self, prediction: Any, target: Any) -> int:  # noqa: ARG002
        shape: torch.Size = prediction[0].shape
        return shape[:-1].numel()

    def _short(self, lengths: tuple[Tensor, ...]) -> Tensor:
        """By how much the distance to the negative example is too small, with swap the smaller of two."""
        return self.margin + lengths[0] - (lengths[1].minimum(lengths[2]) if self.swap else lengths[1])


class TripletMarginWithDistanceLoss(Loss):
    """Vectors that should be nearer to their positive than to their negative example, by a distance of your own.

    Forward:   near = distance(anchor, positive);  far = distance(anchor, negative), with swap the smaller of it and
               distance(positive, negative);  value = average of max(0, margin + near - far); reduction: mean, or sum,
               or none;  distance = distance_function, a layer of two inputs, PairwiseDistance() if there is none
    Backward:  k = d_value / count where margin + near - far >= 0, else 0; for sum and none d_value;
               d_near = k;  d_far = -k, with swap that of the smaller distance, half of it for each if they are equal;
               d_anchor, d_positive, d_negative = the sums of what the distance's own backward makes of these
    Shapes:    anchor, positive, negative: what the distance takes, the same;  value: (), for none that of a distance
    Raises:    ArgumentError unless margin is above 0 and distance_function a Module: torch's takes any function, which
               has no backward here;  ShapeError unless all have one shape;  DtypeError unless they are floating point,
               all of one dtype
    Source:    torch.nn.TripletMarginWithDistanceLoss, whose definition it follows; swap: Balntas et al. 2016,
               "Learning local feature descriptors with triplets and shallow convolutional neural networks"

    Example:
        >>> loss = TripletMarginWithDistanceLoss(distance_function=PairwiseDistance(p=1.0), margin=3.0)
        >>> loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([[5.0, 0.0]]))
        tensor(5.0000)
    """

    outputs = "numbers"
    conformance: ClassVar[dict[str, Any]] = {"inputs": [(5, 3), (5, 3), (5, 3)], "predictions": 3}

    def __init__(
        self,
        *,
        distance_function: Module | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        require_flags(self, swap=swap)
        require_reduction(self, reduction)
        require_range(self, "margin", margin, 0)
        if not margin:
            raise ArgumentError(f"TripletMarginWithDistanceLoss: margin must be above 0, got {margin}")
        if not isinstance(distance_function, Module | None):
            raise ArgumentError(
                "TripletMarginWithDistanceLoss: distance_function must be a Module of two inputs, with a backward of "
                f"its own, got {kind_of(distance_function)}; write one, or take PairwiseDistance or CosineSimilarity"
            )
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin, self.swap, self.reduction = margin, swap, reduction

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Measured]:
        _require_alike(self, anchor=anchor, positive=positive, negative=negative)
        near, of_near = self._distance(anchor, positive)
        far, of_far = self._distance(anchor, negative)
        other, of_other = self._distance(positive, negative) if self.swap else (far, None)
        short = self.margin + near - far.minimum(other)
        kept = [of_near, of_far, of_other] if self.swap else [of_near, of_far]
        return reduce(self.reduction, short.clamp(min=0)), (short, far, other, kept)

    def backward(self, d_value: float | Tensor, saved: Measured) -> tuple[Tensor, Tensor, Tensor]:
        require_saved(self, saved, Tensor, Tensor, Tensor, list)
        short, far, other, kept = saved
        if len(kept) != 2 + self.swap:
            raise StateError(
                f"TripletMarginWithDistanceLoss: saved must hold {2 + self.swap} distances, got {len(kept)}; a saved "
                "value is good for one backward: call forward again"
            )
        k = scale_((short >= 0).to(short.dtype), upstream(self, d_value, short.shape, short))
        back = self.distance_function.backward
        share = _share(far, other) if self.swap else 1
        if self.swap:  # popped, so that what a distance kept is gone behind its backward
            d_positive_of_other, d_negative_of_other = back(k * (share - 1), kept.pop())
        d_anchor_of_far, d_negative = back(-k * share, kept.pop())
        d_anchor, d_positive = back(k, kept.pop())
        del saved, short, far, other, k  # so that memory falls before the sum is made
        d_anchor = d_anchor + d_anchor_of_far
        if not self.swap:
            return d_anchor, d_positive, d_negative
        return d_anchor, d_positive + d_positive_of_other, d_negative + d_negative_of_other

    def tangent(self, t_prediction: Triplet, saved: Measured, along: Directions) -> tuple[Tensor, list[Any]]:
        short, far, other, kept = saved
        t_anchor, t_positive, t_negative = t_prediction
        pairs = [(t_anchor, t_positive), (t_anchor, t_negative), (t_positive, t_negative)]
        moved = [
            self.distance_function.tangent(pair, kept_by_distance, along)
            for pair, kept_by_distance in zip(pairs, kept, strict=False)
        ]
        t_lengths = tuple(torch.zeros_like(short) if t_length is None else t_length for t_length, _ in moved)
        t_short = _t_short((far, far, other)[: len(kept)], t_lengths)
        return added_up(self, t_short.where(short >= 0, 0)), [t_kept for _, t_kept in moved]

    def backward_tangent(
        self,
        d_value: float | Tensor,
        t_d_value: float | Tensor,
        saved: Measured,
        t_saved: list[Any],
        along: Directions,
    ) -> tuple[Triplet, Triplet]:
        short, far, other, kept = saved
        lengths = (far, far, other)[: len(kept)]
        active = (short >= 0).to(short.dtype)
        d_lengths, t_d_lengths = (
            _d_lengths(scaled(active, upstream(self, d, short.shape, short)), lengths) for d in (d_value, t_d_value)
        )
        found = [
            self.distance_function.backward_tangent(*each, along)
            for each in zip(d_lengths, t_d_lengths, kept, t_saved, strict=True)
        ]
        return _of_vectors([d for d, _ in found]), _of_vectors([t_d for _, t_d in found])

    def weight_of(self, prediction: Any, target: Any) -> int:  # noqa: ARG002
        shape: torch.Size = prediction[0].shape
        return shape[:-1].numel()

    def _distance(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Any]:
        pair = self.distance_function.forward(x1, x2)
        require_pair(self.distance_function, pair)
        return pair


def _share(far: Tensor, other: Tensor) -> Tensor:
    """What part of a gradient goes to the distance far where the smaller of two is taken, in their dtype."""
    return (far <= other).to(far.dtype) - (far == other).to(far.dtype) / 2


def _t_short(lengths: tuple[Tensor, ...], t_lengths: tuple[Tensor, ...]) -> Tensor:
    """The change of near - far, or of near less the smaller of far and a third distance."""
    t_near, t_far, *t_other = t_lengths
    if not t_other:
        return t_near - t_far
    share = _share(lengths[1], lengths[2])
    return t_near - share * t_far - (1 - share) * t_other[0]


def _d_lengths(k: Tensor, lengths: tuple[Tensor, ...]) -> list[Tensor]:
    """The gradients of near and far, and of a third distance if there is one, where that of near is k."""
    if len(lengths) == 2:
        return [k, -k]
    share = _share(lengths[1], lengths[2])
    return [k, -k * share, k * (share - 1)]


def _of_vectors(pairs: list[Pair]) -> Triplet:
    """The gradients of anchor, positive and negative, of those of both vectors of each distance."""
    (anchor, positive), (anchor_of_far, negative), *other = pairs
    anchor = anchor + anchor_of_far
    if not other:
        return anchor, positive, negative
    return anchor, positive + other[0][0], negative + other[0][1]


def _require_alike(owner: Loss, **inputs: Tensor) -> None:
    """Raise an error unless all are floating point, of one shape, dtype and device: broadcasting hides mistakes."""
    (first_name, first), *others = inputs.items()
    require_floating(owner, first, first_name)
    for name, value in others:
        require_floating(owner, value, name)
        if value.shape != first.shape:
            raise ShapeError(
                f"{type(owner).__name__}: {name} must have the shape of {first_name}, {tuple(first.shape)}, "
                f"got {tuple(value.shape)}"
            )
        if value.dtype is not first.dtype:
            raise DtypeError(
                f"{type(owner).__name__}: {name} must have the dtype of {first_name}, {first.dtype}, got {value.dtype}"
            )
        require_same_device(owner, value, first, name, first_name)


def _require_targets(owner: Loss, target: Tensor, prediction: Tensor, shape: torch.Size) -> None:
    """Raise ShapeError unless there is a target for each row; ArgumentError on another device."""
    require_input(owner, target, "target")
    if target.shape != shape:
        raise ShapeError(
            f"{type(owner).__name__}: target must have the shape {tuple(shape)}, one number a row, "
            f"got {tuple(target.shape)}"
        )
    require_same_device(owner, target, prediction, "target", "prediction")
