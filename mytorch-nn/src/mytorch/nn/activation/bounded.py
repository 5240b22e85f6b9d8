"""Functions that squash numbers, or shrink them towards 0."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import (
    Module,
    require_floating,
    require_like,
    require_range,
    require_saved,
    require_upstream,
)
from mytorch.core.checks import FLOAT_MAX
from mytorch.nn._tangents import elementwise

aten = torch.ops.aten


class Hardsigmoid(Module):
    """The sigmoid by straight lines.

    Forward:   y = min(max(x / 6 + 1 / 2, 0), 1)
    Backward:  d_x = d_y / 6 where -3 < x < 3, else 0
    Kernel:    aten.hardsigmoid_backward
    Shapes:    x, y: any
    Raises:    DtypeError unless x is floating point;  ShapeError if d_y has not the shape of y
    Source:    Howard et al. 2019, "Searching for MobileNetV3"; with another slope: Courbariaux et al. 2015,
               "BinaryConnect: training deep neural networks with binary weights during propagations"

    Example:
        >>> Hardsigmoid()(torch.tensor([-4.0, 0.0, 1.5]))
        tensor([0.0000, 0.5000, 0.7500])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.hardsigmoid(x), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.hardsigmoid_backward(d_y, x) if self.input_grad else None

    tangent, backward_tangent = elementwise()


class LogSigmoid(Module):
    """The logarithm of the sigmoid, exact for very negative numbers too.

    Forward:   y = -log(1 + exp(-x))
    Backward:  d_x = d_y * (1 - s) with s = 1 / (1 + exp(-x)), so 1 - s = 1 / (1 + exp(x))
    Kernel:    aten.log_sigmoid_backward, which takes exp(-|x|) from the forward
    Shapes:    x, y: any
    Raises:    DtypeError if d_y has not the dtype of y
    Source:    Goodfellow, Bengio and Courville 2016, "Deep Learning", section 3.10

    Example:
        >>> LogSigmoid()(torch.tensor([-100.0, 0.0]))
        tensor([-100.0000,   -0.6931])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        require_floating(self, x)
        y, power = aten.log_sigmoid_forward(x)
        return y, (x, power)

    def backward(self, d_y: Tensor, saved: tuple[Tensor, Tensor]) -> Tensor | None:
        require_saved(self, saved, Tensor, Tensor)
        x, power = saved
        require_upstream(self, d_y, x.shape)
        require_like(self, d_y, x, "d_y", "output")
        return aten.log_sigmoid_backward(d_y, x, power) if self.input_grad else None

    tangent, backward_tangent = elementwise(lambda _, saved: -saved[0].sigmoid() * (-saved[0]).sigmoid())


class Softsign(Module):
    """Squash into (-1, 1), more slowly than tanh.

    Forward:   y = x / (1 + |x|)
    Backward:  d_x = d_y / (1 + |x|)^2
    Shapes:    x, y: any
    Raises:    DtypeError unless x is floating point;  ShapeError if d_y has not the shape of y
    Source:    Bergstra et al. 2009, "Quadratic polynomials learn better image features"

    Example:
        >>> Softsign()(torch.tensor([-1.0, 3.0]))
        tensor([-0.5000,  0.7500])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.softsign(x), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return d_y / (1 + x.abs()).square() if self.input_grad else None

    tangent, backward_tangent = elementwise(lambda _, x: -2 * x.sign() / (1 + x.abs()) ** 3)


class Hardshrink(Module):
    """Set small numbers to 0.

    Forward:   y = x where |x| > lambd, else 0
    Backward:  d_x = d_y where |x| > lambd, else 0
    Kernel:    aten.hardshrink_backward
    Shapes:    x, y: any
    Raises:    ArgumentError if lambd is below 0
    Source:    Donoho and Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage"

    Example:
        >>> Hardshrink()(torch.tensor([-1.0, 0.3]))
        tensor([-1.,  0.])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        require_range(self, "lambd", lambd, 0)
        self.lambd = lambd

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.hardshrink(x, self.lambd), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.hardshrink_backward(d_y, x, self.lambd) if self.input_grad else None

    tangent, backward_tangent = elementwise()


class Softshrink(Module):
    """Move numbers towards 0, and set small ones to 0.

    Forward:   y = x - lambd where x > lambd, x + lambd where x < -lambd, else 0
    Backward:  d_x = d_y where |x| > lambd, else 0
    Kernel:    aten.softshrink_backward
    Shapes:    x, y: any
    Raises:    ArgumentError if lambd is below 0
    Source:    Donoho and Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage"

    Example:
        >>> Softshrink()(torch.tensor([-1.0, 0.3]))
        tensor([-0.5000,  0.0000])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        require_range(self, "lambd", lambd, 0, FLOAT_MAX)
        self.lambd = lambd

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.softshrink(x, self.lambd), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.softshrink_backward(d_y, x, self.lambd) if self.input_grad else None

    tangent, backward_tangent = elementwise()


class Tanhshrink(Module):
    """What tanh takes away.

    Forward:   y = x - t with t = tanh(x)
    Backward:  d_x = d_y * t^2, since the derivative of tanh is 1 - t^2
    Shapes:    x, y: any
    Raises:    DtypeError unless x is floating point;  ShapeError if d_y has not the shape of y
    Source:    torch.nn.Tanhshrink, whose definition it follows

    Example:
        >>> Tanhshrink()(torch.tensor([-1.0, 2.0]))
        tensor([-0.2384,  1.0360])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        t = x.tanh()
        return x - t, t

    def backward(self, d_y: Tensor, t: Tensor) -> Tensor | None:
        require_saved(self, t, Tensor)
        require_upstream(self, d_y, t.shape, like=t)
        return d_y * t.square() if self.input_grad else None

    tangent, backward_tangent = elementwise(lambda _, t: 2 * t * (1 - t * t))
