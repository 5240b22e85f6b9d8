"""Units of two values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mytorch.core import Module, require_floating, require_saved, require_upstream

Derivative = Callable[[Tensor], Tensor]
"""The derivative of a jump, or what a learning rule takes for it, for each distance from the threshold."""


class Heaviside(Module):
    """The unit step: 1 for each number that is at least 0, else 0.

    Forward:   y = 1 where x >= 0, else 0; NaN where x is
    Backward:  d_x = d_y * s, with s = jump_derivative(x): 0, the derivative everywhere but at the jump, where there is
               none
    Shapes:    x, y: any
    Raises:    DtypeError unless x is floating point
    Source:    McCulloch and Pitts 1943, "A logical calculus of the ideas immanent in nervous activity"

    The layers below it learn nothing by backpropagation, since d_x is 0. The learning rules
    `mytorch.train.rules.StraightThrough` and `SurrogateGradient` train them: during a step, they set `jump_derivative`
    to a function of their own.

    Example:
        >>> Heaviside()(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([0., 1., 1.])
    """

    jump_derivative: Derivative = staticmethod(torch.zeros_like)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return torch.where(x.isnan(), x, (x >= 0).to(x.dtype)), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return d_y * self.jump_derivative(x) if self.input_grad else None


class Sign(Module):
    """The sign of each number: 1 if it is at least 0, else -1.

    Forward:   y = 1 where x >= 0, else -1; NaN where x is
    Backward:  d_x = d_y * s, with s = jump_derivative(x): 0, the derivative everywhere but at the jump, where there is
               none
    Shapes:    x, y: any
    Raises:    DtypeError unless x is floating point
    Source:    Hubara et al. 2016, "Binarized neural networks", equation 1

    It has two values, while torch.sign has a third one at 0. The layers below it learn nothing by backpropagation; the
    learning rules `mytorch.train.rules.StraightThrough` and `SurrogateGradient` train them, as below Heaviside, whose
    jump is half as high.

    Example:
        >>> Sign()(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-1.,  1.,  1.])
    """

    jump_derivative: Derivative = staticmethod(torch.zeros_like)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return torch.where(x.isnan(), x, 2 * (x >= 0).to(x.dtype) - 1), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return d_y * self.jump_derivative(x) if self.input_grad else None
