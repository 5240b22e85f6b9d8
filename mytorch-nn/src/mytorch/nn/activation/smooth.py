"""Smooth relatives of the rectifier."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import (
    ArgumentError,
    Module,
    require_choice,
    require_floating,
    require_like,
    require_range,
    require_saved,
    require_upstream,
)
from mytorch.nn._tangents import elementwise

aten = torch.ops.aten

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""The solution of the paper's fixed-point equations, to the precision that torch uses."""


class ELU(Module):
    """Let positive numbers through and bend negative ones towards -alpha.

    Forward:   y = x where x > 0, else alpha * (exp(x) - 1)
    Backward:  d_x = d_y where x > 0, else d_y * alpha * exp(x)
    Kernel:    aten.elu_backward
    Shapes:    x, y: any
    Raises:    ArgumentError if alpha is not a number
    Source:    Clevert et al. 2015, "Fast and accurate deep network learning by exponential linear units (ELUs)"

    Example:
        >>> ELU()(torch.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        require_range(self, "alpha", alpha)
        self.alpha = alpha

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.elu(x, self.alpha), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.elu_backward(d_y, self.alpha, 1.0, 1.0, False, x) if self.input_grad else None

    tangent, backward_tangent = elementwise(lambda layer, x: (layer.alpha * x.exp()).where(x <= 0, 0.0))


class CELU(Module):
    """The ELU whose slope is continuous for every alpha.

    Forward:   y = x where x > 0, else alpha * (exp(x / alpha) - 1)
    Backward:  d_x = d_y where x > 0, else d_y * exp(x / alpha)
    Kernel:    aten.elu_backward with the input scaled by 1 / alpha
    Shapes:    x, y: any
    Raises:    ArgumentError if alpha is not a number other than 0
    Source:    Barron 2017, "Continuously differentiable exponential linear units"

    Example:
        >>> CELU(2.0)(torch.tensor([-1.0, 2.0]))
        tensor([-0.7869,  2.0000])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        require_range(self, "alpha", alpha)
        if alpha == 0:
            raise ArgumentError("CELU: alpha must not be 0, by which x is divided, got 0")
        self.alpha = alpha

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.celu(x, self.alpha), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.elu_backward(d_y, self.alpha, 1.0, 1 / self.alpha, False, x) if self.input_grad else None

    tangent, backward_tangent = elementwise(
        lambda layer, x: ((x / layer.alpha).exp() / layer.alpha).where(x <= 0, 0.0)
    )


class SELU(Module):
    """The ELU scaled so that mean 0 and variance 1 are kept from layer to layer.

    Forward:   y = scale * (x where x > 0, else alpha * (exp(x) - 1)), scale = 1.0507..., alpha = 1.6732...
    Backward:  d_x = scale * d_y where x > 0, else scale * alpha * exp(x) * d_y
    Kernel:    aten.elu_backward
    Shapes:    x, y: any
    Raises:    DtypeError unless x is floating point;  ShapeError if d_y has not the shape of y
    Source:    Klambauer et al. 2017, "Self-normalizing neural networks"

    Example:
        >>> SELU()(torch.tensor([-1.0, 2.0]))
        tensor([-1.1113,  2.1014])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.selu(x), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.elu_backward(d_y, SELU_ALPHA, SELU_SCALE, 1.0, False, x) if self.input_grad else None

    tangent, backward_tangent = elementwise(lambda _, x: (SELU_SCALE * SELU_ALPHA * x.exp()).where(x <= 0, 0.0))


class GELU(Module):
    """Weigh each number by the probability that a standard normal one is smaller.

    Forward:   y = x * P(x) with P the normal distribution function; for approximate="tanh" by
               P(x) = (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2
    Backward:  d_x = d_y * (P(x) + x * p(x)) with p the derivative of P, the normal density for "none"
    Kernel:    aten.gelu_backward
    Shapes:    x, y: any
    Raises:    ArgumentError if approximate is not "none" or "tanh"; DtypeError if d_y has not the dtype of y
    Source:    Hendrycks and Gimpel 2016, "Gaussian error linear units (GELUs)"

    Example:
        >>> GELU()(torch.tensor([-1.0, 2.0]))
        tensor([-0.1587,  1.9545])
    """

    def __init__(self, approximate: str = "none") -> None:
        require_choice(self, "approximate", approximate, ("none", "tanh"))
        self.approximate = approximate

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.gelu(x, approximate=self.approximate), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape)
        require_like(self, d_y, x, "d_y", "output")
        return aten.gelu_backward(d_y, x, approximate=self.approximate) if self.input_grad else None

    def _second(self, x: Tensor) -> Tensor:
        """The second derivative."""
        x = x.clamp(-20, 20)  # beyond which it is 0, and the powers of x may be infinite
        if self.approximate == "none":
            return (2 - x * x) * (-x * x / 2).exp() / math.sqrt(2 * math.pi)
        k, a = math.sqrt(2 / math.pi), 0.044715
        u1, u2, t = k * (1 + 3 * a * x * x), 6 * k * a * x, (k * (x + a * x**3)).tanh()
        return (1 - t * t) * (u1 + x * (u2 / 2 - t * u1 * u1))

    tangent, backward_tangent = elementwise(_second)


class SiLU(Module):
    """Weigh each number by its own sigmoid; also called swish.

    Forward:   y = x * s with s = 1 / (1 + exp(-x))
    Backward:  d_x = d_y * s * (1 + x * (1 - s))
    Kernel:    aten.silu_backward
    Shapes:    x, y: any
    Raises:    DtypeError unless x is floating point;  ShapeError if d_y has not the shape of y
    Source:    Hendrycks and Gimpel 2016, "Gaussian error linear units (GELUs)", which names it; Elfwing et al. 2018,
               "Sigmoid-weighted linear units for neural network function approximation in reinforcement learning"

    Example:
        >>> SiLU()(torch.tensor([-1.0, 2.0]))
        tensor([-0.2689,  1.7616])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.silu(x), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.silu_backward(d_y, x) if self.input_grad else None

    def _second(self, x: Tensor) -> Tensor:
        """The second derivative."""
        s = x.sigmoid()
        return s * (1 - s) * (2 + x * (1 - 2 * s))

    tangent, backward_tangent = elementwise(_second)


class Mish(Module):
    """Weigh each number by the tanh of its softplus.

    Forward:   y = x * t with t = tanh(log(1 + exp(x)))
    Backward:  d_x = d_y * (t + x * (1 - t^2) * s) with s = 1 / (1 + exp(-x))
    Kernel:    aten.mish_backward
    Shapes:    x, y: any
    Raises:    DtypeError unless x is floating point;  ShapeError if d_y has not the shape of y
    Source:    Misra 2019, "Mish: a self regularized non-monotonic activation function"

    Example:
        >>> Mish()(torch.tensor([-1.0, 2.0]))
        tensor([-0.3034,  1.9440])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.mish(x), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.mish_backward(d_y, x) if self.input_grad else None

    def _second(self, x: Tensor) -> Tensor:
        """The second derivative."""
        s, t = x.sigmoid(), F.softplus(x).tanh()
        t1 = (1 - t * t) * s
        return 2 * t1 + x * t1 * (1 - s - 2 * t * s)

    tangent, backward_tangent = elementwise(_second)


class Softplus(Module):
    """A smooth form of the rectifier, above 0 everywhere.

    Forward:   y = log(1 + exp(beta * x)) / beta, and y = x where beta * x > threshold
    Backward:  d_x = d_y * 1 / (1 + exp(-beta * x)), and d_y where beta * x > threshold
    Kernel:    aten.softplus_backward
    Shapes:    x, y: any
    Raises:    ArgumentError if beta is not a number other than 0, or threshold is not a number
    Source:    Dugas et al. 2001, "Incorporating second-order functional knowledge for better option pricing"

    Example:
        >>> Softplus()(torch.tensor([-1.0, 2.0]))
        tensor([0.3133, 2.1269])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        require_range(self, "beta", beta)
        require_range(self, "threshold", threshold)
        if beta == 0:
            raise ArgumentError("Softplus: beta must not be 0, by which it is divided, got 0")
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.softplus(x, self.beta, self.threshold), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.softplus_backward(d_y, x, self.beta, self.threshold) if self.input_grad else None

    def _second(self, x: Tensor) -> Tensor:
        """The second derivative."""
        s = (self.beta * x).sigmoid()
        return (self.beta * s * (1 - s)).where(self.beta * x <= self.threshold, 0.0)

    tangent, backward_tangent = elementwise(_second)


class Hardswish(Module):
    """The SiLU with its sigmoid replaced by straight lines.

    Forward:   y = x * min(max(x + 3, 0), 6) / 6
    Backward:  d_x = 0 where x <= -3, d_y where x >= 3, else d_y * (2 * x + 3) / 6
    Kernel:    aten.hardswish_backward
    Shapes:    x, y: any
    Raises:    DtypeError unless x is floating point;  ShapeError if d_y has not the shape of y
    Source:    Howard et al. 2019, "Searching for MobileNetV3"

    Example:
        >>> Hardswish()(torch.tensor([-1.0, 2.0, 4.0]))
        tensor([-0.3333,  1.6667,  4.0000])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.hardswish(x), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.hardswish_backward(d_y, x) if self.input_grad else None

    tangent, backward_tangent = elementwise(lambda _, x: (x.abs() < 3).to(x.dtype) / 3)
