"""Spiking neurons."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    Module,
    ShapeError,
    require_floating,
    require_range,
    require_saved,
    require_upstream,
)
from mytorch.nn.spiking.binary import Derivative


class LIF(Module):
    """Leaky integrate-and-fire neurons: each adds up its input in a leaking potential, and spikes at a threshold.

    Forward:   u_t = decay * u_(t-1) + x_t - threshold * y_(t-1), with u_0 = y_0 = 0
               y_t = 1 where u_t >= threshold, else 0
    Backward:  from the last step to the first: d_u_t = (d_y_t - threshold * d_u_(t+1)) * s_t + decay * d_u_(t+1)
               d_x_t = d_u_t, with s_t = jump_derivative(u_t - threshold), the derivative of the spike: 0 everywhere
               but at the jump, so that d_x = 0
    Shapes:    x, y: (batch, steps, features);  the neurons are the features
    Raises:    ShapeError for other shapes, or if d_y has not the shape of y;  DtypeError unless x is floating point;
               ArgumentError unless decay is from 0 to 1 and threshold at least 0
    Source:    Neftci, Mostafa and Zenke 2019, "Surrogate gradient learning in spiking neural networks", without
               the current of the synapses that leaks by itself; a spike takes the threshold off the potential

    The layers below it learn nothing by backpropagation, since d_x is 0. The learning rules
    `mytorch.train.rules.SurrogateGradient` and `StraightThrough` train them: during a step, they set `jump_derivative`
    to a function of their own; the rest of the backward is as above.

    Example:
        >>> LIF(decay=0.5)(torch.tensor([0.6, 0.8, 0.0, 1.4]).reshape(1, 4, 1)).flatten()
        tensor([0., 1., 0., 1.])
    """

    conformance: ClassVar[dict[str, Any]] = {"inputs": [(3, 4, 2)], "tags": ("fixed_dimensions",)}

    jump_derivative: Derivative = staticmethod(torch.zeros_like)

    def __init__(self, decay: float = 0.9, threshold: float = 1.0) -> None:
        require_range(self, "decay", decay, 0, 1)
        require_range(self, "threshold", threshold, 0)
        self.decay, self.threshold = decay, threshold

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        if x.dim() != 3:
            raise ShapeError(f"LIF: x must be (batch, steps, features), got {tuple(x.shape)}")
        distances, spikes = torch.empty_like(x), torch.empty_like(x)
        u = y = x.new_zeros(x.shape[0], x.shape[2])
        for step in range(x.shape[1]):
            u = self.decay * u + x[:, step] - self.threshold * y
            distances[:, step] = u - self.threshold
            y = (u >= self.threshold).to(x.dtype)
            spikes[:, step] = y
        return torch.where(distances.isnan(), distances, spikes), distances

    def backward(self, d_y: Tensor, distances: Tensor) -> Tensor | None:
        require_saved(self, distances, Tensor)
        require_upstream(self, d_y, distances.shape, like=distances)
        if not self.input_grad:
            return None
        d_u, slopes = torch.empty_like(d_y), self.jump_derivative(distances)
        after: Tensor | float = 0.0
        for step in reversed(range(d_y.shape[1])):
            after = (d_y[:, step] - self.threshold * after) * slopes[:, step] + self.decay * after
            d_u[:, step] = after
        return d_u
