"""How unlikely the targets are under the distribution that is predicted."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import (
    ArgumentError,
    Directions,
    ShapeError,
    require_choice,
    require_flags,
    require_floating,
    require_like,
    require_range,
    require_saved,
)
from mytorch.nn.loss._elementwise import ElementwiseLoss
from mytorch.nn.loss._reduction import REDUCTIONS, per_element, reduce, require_values, scale_, scaled
from mytorch.nn.loss._tangents import added_up, elementwise


class KLDivLoss(ElementwiseLoss):
    """The Kullback-Leibler divergence of predicted log-probabilities from the wanted probabilities t.

    Forward:   value = average of t * (log(t) - prediction) over every element, 0 where t is 0;
               reduction: mean, or sum, or none, or batchmean: the sum divided by the rows, which the formula is;
               log_target: the target is log(t)
    Backward:  d_prediction = -d_value * t, divided as the value is
    Shapes:    prediction, target: any, the same;  value: (), for none that of the prediction
    Raises:    ShapeError unless both have one shape; DtypeError unless the prediction is floating point and the
               target real; on the CPU ArgumentError for a probability below 0
    Source:    Kullback and Leibler 1951, "On information and sufficiency"

    Example:
        >>> KLDivLoss(reduction="batchmean")(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[1.0, 0.0]]))
        tensor(0.6931)
    """

    outputs = "log-softmax"
    conformance: ClassVar[dict[str, Any]] = {"inputs": [(5, 3), torch.linspace(0.1, 1, 15).reshape(5, 3)]}

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        require_flags(self, log_target=log_target)
        require_choice(self, "reduction", reduction, (*REDUCTIONS, "batchmean"))
        self.reduction, self.log_target = reduction, log_target

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        target = self._pair(prediction, target)
        if self.log_target:
            t = target.exp()
            values = t * (target - prediction)
        else:
            require_values(self, target, 0)
            t = target
            values = torch.xlogy(t, t) - t * prediction
        if self.reduction == "batchmean":
            return values.sum() / _rows(values), t
        return reduce(self.reduction, values), t

    def backward(self, d_value: float | Tensor, t: Tensor) -> Tensor:
        require_saved(self, t, Tensor)
        scale = self._each(d_value, t)
        if self.reduction == "batchmean":
            scale = per_element("mean", scale, _rows(t))
        return scaled(t, -scale)

    tangent, backward_tangent = elementwise()

    def weight_of(self, prediction: Tensor, target: Tensor) -> int:  # noqa: ARG002
        return _rows(prediction) if self.reduction == "batchmean" else prediction.numel()


class PoissonNLLLoss(ElementwiseLoss):
    """The negative log-likelihood of counts t under Poisson distributions.

    Forward:   value = average of exp(x) - t * x, x = prediction; with log_input false x - t * log(x + eps);
               full: plus t * log(t) - t + log(2 * pi * t) / 2 where t > 1; reduction: mean, or sum, or none
    Backward:  d_prediction = d_value * (exp(x) - t) / count,
               with log_input false d_value * (1 - t / (x + eps)) / count,
               for sum and none without the division by the count
    Shapes:    prediction, target: any, the same;  value: (), for none that of the prediction
    Raises:    ArgumentError if eps is below 0; ShapeError unless both have one shape; DtypeError unless the prediction
               is floating point and the target real; on the CPU ArgumentError for a target below 0
    Source:    McCullagh and Nelder 1989, "Generalized Linear Models", chapter 6; full and eps are those of
               torch.nn.PoissonNLLLoss

    Example:
        >>> PoissonNLLLoss()(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0]))
        tensor(0.8591)
    """

    outputs = "numbers"
    conformance: ClassVar[dict[str, Any]] = {"inputs": [(5, 3), torch.arange(15.0).reshape(5, 3)]}

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        require_flags(self, log_input=log_input, full=full)
        super().__init__(reduction)
        require_range(self, "eps", eps, 0)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        target = self._pair(prediction, target)
        require_values(self, target, 0)
        value = F.poisson_nll_loss(
            prediction, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction
        )
        return value, (prediction, target)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor]) -> Tensor:
        require_saved(self, saved, Tensor, Tensor)
        x, t = saved
        slope = x.exp() - t if self.log_input else 1 - t / (x + self.eps)
        return scale_(slope, self._each(d_value, x))

    def _second(self, saved: tuple[Tensor, Tensor]) -> Tensor:
        """The second derivative of each value."""
        x, t = saved
        return x.exp() if self.log_input else t / (x + self.eps) / (x + self.eps)

    tangent, backward_tangent = elementwise(_second)


class GaussianNLLLoss(ElementwiseLoss):
    """The negative log-likelihood of numbers under Gaussian distributions with a predicted mean and variance.

    Both are predictions and come before the target; names are those of torch, whose order is input, target, var.

    Forward:   value = average of (log(v) + (input - target)^2 / v) / 2, v = var, at least eps;
               full: plus log(2 * pi) / 2; reduction: mean, or sum, or none
    Backward:  d_input = d_value * (input - target) / v / count, for sum and none without the division by the count
               d_var = d_value * (1 - (input - target)^2 / v) / v / 2, divided likewise, summed over the axes along
               which var was repeated; as in torch, where eps took its place too
    Shapes:    input, target: any, the same;  var: the same, or one axis less, or 1 along one axis;
               value: (), for none that of the input
    Raises:    ArgumentError unless eps is above 0; ShapeError unless the shapes fit; DtypeError unless input and var
               are floating point, of one dtype, and the target real; on the CPU ArgumentError for a variance below 0
    Source:    Nix and Weigend 1994, "Estimating the mean and variance of the target probability distribution"

    Example:
        >>> GaussianNLLLoss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]), torch.tensor([1.0, 4.0]))
        tensor(0.5966)
    """

    outputs = "numbers"
    conformance: ClassVar[dict[str, Any]] = {
        "inputs": [torch.linspace(2, 0.3, 15).reshape(5, 3), torch.linspace(0.5, 2, 15).reshape(5, 3), (5, 3)],
        "predictions": 2,
    }

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        require_flags(self, full=full)
        super().__init__(reduction)
        require_range(self, "eps", eps, 0)
        if not eps:
            raise ArgumentError(f"GaussianNLLLoss: eps must be above 0, got {eps}")
        self.full, self.eps = full, eps

    def forward(
        self,
        input: Tensor,  # noqa: A002 - torch's name
        var: Tensor,
        target: Tensor,
    ) -> tuple[Tensor, tuple[Tensor, Tensor, torch.Size]]:
        difference = input - self._pair(input, target)
        require_floating(self, var, "var")
        require_like(self, var, input, "var", "prediction")
        v = self._along(input.shape, var).clamp(min=self.eps)
        require_values(self, var, 0, "var")
        values = 0.5 * (v.log() + difference.square() / v)
        if self.full:
            values = values + 0.5 * math.log(2 * math.pi)
        return reduce(self.reduction, values), (difference, v, var.shape)

    def backward(self, d_value: float | Tensor, saved: tuple[Tensor, Tensor, torch.Size]) -> tuple[Tensor, Tensor]:
        require_saved(self, saved, Tensor, Tensor, torch.Size)
        difference, v, shape = saved
        scale = self._each(d_value, difference)
        share = difference / v
        d_v = scale_((1 - difference * share) / (2 * v), scale)
        return scale_(share, scale), d_v.sum_to_size(v.shape).reshape(shape)

    def tangent(
        self,
        t_prediction: tuple[Tensor, Tensor],
        saved: tuple[Tensor, Tensor, torch.Size],
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        difference, v, _ = saved
        t_input, t_v = t_prediction[0], t_prediction[1].reshape(v.shape)
        share = difference / v
        t_values = share * t_input + (1 - difference * share) / (2 * v) * t_v
        return added_up(self, t_values), (t_input, t_v)

    def backward_tangent(
        self,
        d_value: float | Tensor,
        t_d_value: float | Tensor,
        saved: tuple[Tensor, Tensor, torch.Size],
        t_saved: tuple[Tensor, Tensor],
        along: Directions,  # noqa: ARG002
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        (difference, v, shape), (t_input, t_v) = saved, t_saved
        scale = self._each(d_value, difference)
        share = difference / v
        t_share = (t_input - share * t_v) / v
        t_slope = ((difference * share - 0.5) * t_v / v - share * t_input) / v
        t_d_input, t_d_var = self.backward(t_d_value, saved)
        t_d_var = t_d_var + scaled(t_slope, scale).sum_to_size(v.shape).reshape(shape)
        return self.backward(d_value, saved), (t_d_input + scaled(t_share, scale), t_d_var)

    def weight_of(self, prediction: Any, target: Tensor) -> int:  # noqa: ARG002
        return target.numel()

    def _along(self, shape: torch.Size, var: Tensor) -> Tensor:
        """The variance with as many axes as the input. Raises ShapeError unless it fits."""
        if var.shape == shape:
            return var
        if var.shape == shape[:-1]:
            return var.unsqueeze(-1)
        repeated = [own for own, size in zip(var.shape, shape, strict=False) if own != size]
        if var.dim() != len(shape) or repeated != [1]:
            raise ShapeError(
                f"GaussianNLLLoss: var must have the shape of the input, {tuple(shape)}, or one axis less, or 1 along "
                f"one axis, got {tuple(var.shape)}"
            )
        return var


def _rows(values: Tensor) -> int:
    return values.shape[0] if values.dim() else 1
