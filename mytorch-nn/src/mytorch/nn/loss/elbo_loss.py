"""The bound that a variational autoencoder learns by."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    Loss,
    ShapeError,
    kind_of,
    require_floating,
    require_like,
    require_range,
    require_same_shape,
    require_saved,
)
from mytorch.nn._tangents import backward_of_both
from mytorch.nn.loss._reduction import real, reduce, require_reduction, upstream

Prediction = tuple[Tensor, Tensor, Tensor]


class ELBOLoss(Loss):
    """The evidence lower bound of a variational autoencoder, negative and without its constant: how far the
    reconstruction is off, and how far the distribution of codes is from the standard normal one.

    Forward:   (y, m, v) = prediction, of which v is the logarithm of the codes' variance
               reconstruction = sum over a row of (y - target)^2 / (2 * std^2), the negative log-likelihood of a normal
               distribution around y;  KL = sum over a row of (m^2 + exp(v) - v - 1) / 2, the Kullback-Leibler
               divergence of the codes' distribution from the standard normal one
               value = average of reconstruction + KL over the rows; reduction: mean, or sum, or none
    Backward:  with d = d_value / rows, for sum and none without the division
               d_y = d * (y - target) / std^2;  d_m = d * m;  d_v = d * (exp(v) - 1) / 2
    Shapes:    prediction: (y, m, v), as VariationalAutoencoder gives;  y, target: (rows, ...), the same;
               m, v: (rows, codes);  value: (), for none (rows,)
    Raises:    ShapeError unless the shapes fit;  DtypeError unless predictions are floating point, of one dtype, and
               the target real;  ArgumentError unless prediction is a tuple of three and std above 0
    Source:    Kingma and Welling 2013, "Auto-encoding variational Bayes", and its appendix B for KL

    std is the deviation of the target's numbers around their reconstruction: with a smaller one, the reconstruction
    counts more.

    Example:
        >>> y, m, v = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0]]), torch.tensor([[0.0]])
        >>> ELBOLoss()((y, m, v), torch.tensor([[1.0, 4.0]]))  # (2 - 4)^2 / 2 and 1^2 / 2
        tensor(2.5000)
    """

    outputs = "numbers"
    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"std": 0.7},
        "inputs": [
            (torch.linspace(-1, 2, 15).reshape(5, 3), torch.linspace(1, -1, 10).reshape(5, 2), torch.ones(5, 2) / 3),
            (5, 3),
        ],
    }

    def __init__(self, std: float = 1.0, reduction: str = "mean") -> None:
        require_range(self, "std", std, 0)
        if not std:
            raise ArgumentError(f"ELBOLoss: std must be above 0, got {std}")
        require_reduction(self, reduction)
        self.std, self.reduction = std, reduction

    def forward(self, prediction: Prediction, target: Tensor) -> tuple[Tensor, Prediction]:
        y, m, v = self._three(prediction)
        require_same_shape(self, y, target)
        difference = y - real(self, target, y.dtype)
        reconstruction = difference.square().flatten(1).sum(1) / (2 * self.std**2)
        divergence = (m.square() + v.exp() - v - 1).flatten(1).sum(1) / 2
        return reduce(self.reduction, reconstruction + divergence), (difference, m, v)

    def backward(self, d_value: float | Tensor, saved: Prediction) -> Prediction:
        require_saved(self, saved, Tensor, Tensor, Tensor)
        difference, m, v = saved
        d, d_of_codes = self._of_rows(d_value, difference, m)
        return d * difference / self.std**2, d_of_codes * m, d_of_codes * (v.exp() - 1) / 2

    def tangent(
        self,
        t_prediction: Prediction,
        saved: Prediction,
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor, Prediction]:
        y, m, v = (
            (d_each * t_each).flatten(1).sum(1)
            for d_each, t_each in zip(self.backward(1.0, saved), t_prediction, strict=True)
        )
        rows = y + m + v
        return rows if self.reduction == "none" else rows.sum(), t_prediction

    def backward_tangent(
        self,
        d_value: float | Tensor,
        t_d_value: float | Tensor,
        saved: Prediction,
        t_prediction: Prediction,
        along: Directions,
    ) -> tuple[Prediction, Prediction]:
        (difference, m, v), (t_y, t_m, t_v) = saved, t_prediction
        d_prediction, (t_d_y, t_d_m, t_d_v) = backward_of_both(self, d_value, t_d_value, saved, t_prediction, along)
        d, d_of_codes = self._of_rows(d_value, difference, m)
        return d_prediction, (
            t_d_y + d * t_y / self.std**2,
            t_d_m + d_of_codes * t_m,
            t_d_v + d_of_codes * v.exp() * t_v / 2,
        )

    def weight_of(self, prediction: Any, target: Any) -> int:  # noqa: ARG002
        return len(target)

    def _of_rows(self, d_value: float | Tensor, difference: Tensor, m: Tensor) -> tuple[Any, Any]:
        """The upstream gradient of each row's value, as it meets the reconstruction and the codes."""
        d = upstream(self, d_value, difference.shape[:1], difference)
        if isinstance(d, Tensor) and d.dim():
            return d.reshape(-1, *[1] * (difference.dim() - 1)), d.reshape(-1, *[1] * (m.dim() - 1))
        return d, d

    def _three(self, prediction: Any) -> Prediction:
        """Reconstruction, mean and log_var. Raises what the class says."""
        if not isinstance(prediction, tuple) or len(prediction) != 3:
            raise ArgumentError(
                "ELBOLoss: prediction must be a tuple of three, (reconstruction, mean, log_var), as "
                f"VariationalAutoencoder gives, got {kind_of(prediction)}"
            )
        y, m, v = prediction
        for name, each in (("reconstruction", y), ("mean", m), ("log_var", v)):
            require_floating(self, each, name)
            require_like(self, each, y, name, "reconstruction")
        if y.dim() < 2 or m.dim() < 2 or m.shape != v.shape or len(m) != len(y):
            raise ShapeError(
                "ELBOLoss: reconstruction must be (rows, ...) and mean and log_var (rows, codes), got "
                f"{tuple(y.shape)}, {tuple(m.shape)} and {tuple(v.shape)}"
            )
        return y, m, v
