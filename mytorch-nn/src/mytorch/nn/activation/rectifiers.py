"""Functions that let positive numbers through, and bend or cut off the others."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import (
    ArgumentError,
    Directions,
    EachSample,
    Module,
    Parameter,
    SampleGradients,
    ShapeError,
    empty,
    require_device,
    require_floating,
    require_floating_dtype,
    require_input,
    require_like,
    require_range,
    require_saved,
    require_upstream,
    require_whole,
)
from mytorch.core.checks import FLOAT_MAX
from mytorch.nn._own import require_own
from mytorch.nn._tangents import elementwise

aten = torch.ops.aten


class LeakyReLU(Module):
    """Let positive numbers through and make negative ones small.

    Forward:   y = x where x > 0, else negative_slope * x
    Backward:  d_x = d_y where x > 0, else negative_slope * d_y
    Kernel:    aten.leaky_relu_backward
    Shapes:    x, y: any
    Raises:    ArgumentError if negative_slope is not a number
    Source:    Maas et al. 2013, "Rectifier nonlinearities improve neural network acoustic models"

    Example:
        >>> LeakyReLU(0.1)(torch.tensor([-2.0, 3.0]))
        tensor([-0.2000,  3.0000])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        require_range(self, "negative_slope", negative_slope)
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.leaky_relu(x, self.negative_slope), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.leaky_relu_backward(d_y, x, self.negative_slope, False) if self.input_grad else None

    tangent, backward_tangent = elementwise()


class RReLU(Module):
    """Let positive numbers through; multiply each negative one by a slope drawn anew, in training mode.

    Forward:   y = x where x > 0, else a * x with a uniform in [lower, upper];
               in evaluation mode a = (lower + upper) / 2
    Backward:  d_x = d_y where x > 0, else a * d_y
    Kernel:    aten.rrelu_with_noise_backward
    Shapes:    x, y: any
    Raises:    ArgumentError unless lower <= upper
    Random:    one draw for each negative number, from torch's generator
    Source:    Xu et al. 2015, "Empirical evaluation of rectified activations in convolutional network"

    Example:
        >>> RReLU(0.2, 0.4).eval()(torch.tensor([-1.0, 3.0]))
        tensor([-0.3000,  3.0000])
    """

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3) -> None:
        require_range(self, "lower", lower, -FLOAT_MAX)
        require_range(self, "upper", upper, lower, FLOAT_MAX)
        self.lower, self.upper = lower, upper

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        wide = x.float() if x.dtype is torch.float16 else x  # which the kernel does not know
        slope = torch.empty_like(wide, memory_format=torch.contiguous_format)
        y = aten.rrelu_with_noise(wide.contiguous(), slope, self.lower, self.upper, self.training)
        if not self.training:
            slope = torch.full_like(x, (self.lower + self.upper) / 2).masked_fill_(x > 0, 1.0)
        return y.to(x.dtype), slope.to(x.dtype)

    def backward(self, d_y: Tensor, slope: Tensor) -> Tensor | None:
        require_saved(self, slope, Tensor)
        require_upstream(self, d_y, slope.shape, like=slope)
        return d_y * slope if self.input_grad else None

    tangent, backward_tangent = elementwise()


class PReLU(Module):
    """Let positive numbers through and multiply negative ones by a learned slope, one for all or one a channel.

    Forward:   y = x where x > 0, else weight * x
    Backward:  d_x = d_y where x > 0, else weight * d_y;
               d_weight = sum of d_y * x where x <= 0, over all that a slope is for
    Kernel:    aten._prelu_kernel_backward, then the sum
    Shapes:    x, y: any for num_parameters = 1, else (batch, num_parameters, ...);  weight: (num_parameters,)
    Raises:    ShapeError unless axis 1 has num_parameters channels; DtypeError for x or d_y of another dtype than
               weight; ArgumentError unless num_parameters is a whole number of at least 1, or for weights that have no
               room in memory
    Source:    He et al. 2015, "Delving deep into rectifiers: surpassing human-level performance on ImageNet
               classification"

    Example:
        >>> PReLU(init=0.5)(torch.tensor([-2.0, 3.0]))
        tensor([-1.,  3.])
    """

    conformance: ClassVar[dict[str, Any]] = {"tags": ("fixed_dimensions",)}

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_whole(self, "num_parameters", num_parameters, 1)
        require_device(self, device)
        require_floating_dtype(self, dtype)
        require_range(self, "init", init)
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(empty(self, "weight", (num_parameters,), device, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set every slope to `init`."""
        self.weight.value.fill_(self.init)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_input(self, x)
        if self.num_parameters > 1 and (x.dim() < 2 or x.shape[1] != self.num_parameters):
            raise ShapeError(f"PReLU: x must have {self.num_parameters} channels along axis 1, got {tuple(x.shape)}")
        require_like(self, x, self.weight.value)
        return torch._prelu_kernel(x, _meeting(x, self.weight.value)), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        if self.num_parameters > 1:
            require_own(self, "num_parameters", self.num_parameters, x.shape[1] if x.dim() > 1 else 1)
        require_upstream(self, d_y, x.shape)
        require_like(self, d_y, x, "d_y")
        require_like(self, d_y, self.weight.value, "d_y")
        slope = _meeting(x, self.weight.value)
        d_x, d_slope = aten._prelu_kernel_backward(d_y, x, slope)
        self._accumulate(d_slope, slope)
        return d_x if self.input_grad else None

    def tangent(self, t_x: Tensor | None, x: Tensor, along: Directions) -> tuple[Tensor, Tensor | None]:
        t_y = x.where(~(x > 0), 0) * _meeting(x, along[self.weight])
        if t_x is not None:
            t_y = t_y + t_x.where(x > 0, _meeting(x, self.weight.value) * t_x)
        return t_y, t_x

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, x: Tensor, t_x: Tensor | None, along: Directions
    ) -> tuple[Tensor | None, Tensor | None]:
        slope, t_slope = _meeting(x, self.weight.value), _meeting(x, along[self.weight])
        d_x, _ = aten._prelu_kernel_backward(d_y, x, slope)
        t_d_x, t_d_slope = aten._prelu_kernel_backward(t_d_y, x, slope)
        bent = d_y.where(~(x > 0), 0)
        self._accumulate(t_d_slope if t_x is None else t_d_slope + bent * t_x, slope)
        return (d_x, t_d_x + bent * t_slope) if self.input_grad else (None, None)

    def sample_gradients(self, d_y: Tensor, x: Tensor, axis: int) -> dict[str, SampleGradients]:
        _, d_slope = aten._prelu_kernel_backward(d_y, x, _meeting(x, self.weight.value))
        d_slope = d_slope.movedim(axis, 0)
        if self.num_parameters > 1:
            return {"weight": EachSample(d_slope.reshape(*d_slope.shape[:2], -1).sum(2))}
        return {"weight": EachSample(d_slope.reshape(len(d_slope), -1).sum(1, keepdim=True))}

    def _accumulate(self, d_slope: Tensor, slope: Tensor) -> None:
        """Add up what belongs to each slope; `slope` has the shape in which they meet x."""
        if self.weight.trainable:
            self.weight.accumulate(d_slope.sum_to_size(slope.shape).reshape(self.num_parameters).clone())


class Threshold(Module):
    """Replace what is not above a threshold.

    Forward:   y = x where x > threshold, else value
    Backward:  d_x = d_y where x > threshold, else 0
    Kernel:    aten.threshold_backward
    Shapes:    x, y: any
    Raises:    ArgumentError if threshold or value is not a number
    Source:    torch.nn.Threshold, whose definition it follows; with value 0: Konda, Memisevic and Krueger 2014,
               "Zero-bias autoencoders and the benefits of co-adapting features"

    Example:
        >>> Threshold(0.5, -1.0)(torch.tensor([0.2, 0.8]))
        tensor([-1.0000,  0.8000])
    """

    def __init__(self, threshold: float, value: float) -> None:
        require_range(self, "threshold", threshold)
        require_range(self, "value", value)
        self.threshold, self.value = threshold, value

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.threshold(x, self.threshold, self.value), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.threshold_backward(d_y, x, self.threshold) if self.input_grad else None

    tangent, backward_tangent = elementwise()


class Hardtanh(Module):
    """Cut off what is below min_val or above max_val.

    Forward:   y = min(max(x, min_val), max_val)
    Backward:  d_x = d_y where min_val < x < max_val, else 0
    Kernel:    aten.hardtanh_backward
    Shapes:    x, y: any
    Raises:    ArgumentError unless min_val < max_val
    Source:    Collobert et al. 2011, "Natural language processing (almost) from scratch"

    Example:
        >>> Hardtanh()(torch.tensor([-2.0, 0.5, 3.0]))
        tensor([-1.0000,  0.5000,  1.0000])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        require_range(self, "min_val", min_val)
        require_range(self, "max_val", max_val, min_val)
        if not min_val < max_val:
            raise ArgumentError(f"Hardtanh: max_val must be above min_val, {min_val}, got {max_val}")
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.hardtanh(x, self.min_val, self.max_val), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.hardtanh_backward(d_y, x, self.min_val, self.max_val) if self.input_grad else None

    tangent, backward_tangent = elementwise()


class ReLU6(Module):
    """Cut off what is below 0 or above 6.

    Forward:   y = min(max(x, 0), 6)
    Backward:  d_x = d_y where 0 < x < 6, else 0
    Kernel:    aten.hardtanh_backward
    Shapes:    x, y: any
    Raises:    DtypeError unless x is floating point;  ShapeError if d_y has not the shape of y
    Source:    Krizhevsky 2010, "Convolutional deep belief networks on CIFAR-10"

    Example:
        >>> ReLU6()(torch.tensor([-2.0, 0.5, 9.0]))
        tensor([0.0000, 0.5000, 6.0000])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        return F.relu6(x), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        require_upstream(self, d_y, x.shape, like=x)
        return aten.hardtanh_backward(d_y, x, 0.0, 6.0) if self.input_grad else None

    tangent, backward_tangent = elementwise()


def _meeting(x: Tensor, slopes: Tensor) -> Tensor:
    """The slopes in a shape that x is multiplied by."""
    if x.dim() < 2:
        return slopes.reshape(() if x.dim() == 0 else (1,))
    return slopes.reshape(1, -1, *(1,) * (x.dim() - 2))
