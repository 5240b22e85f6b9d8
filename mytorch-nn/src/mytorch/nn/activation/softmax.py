"""Functions that make the numbers along an axis shares of a whole."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    Module,
    ShapeError,
    require_floating,
    require_like,
    require_saved,
    require_upstream,
)
from mytorch.nn._tangents import BackwardTangent, Tangent, backward_of_both
from mytorch.plugins import shown

aten = torch.ops.aten


def require_axis(owner: Module, x: Tensor, dim: int) -> None:
    """Raise ShapeError unless x has the axis `dim`; a number without axes counts as having one."""
    require_floating(owner, x)
    axes = max(x.dim(), 1)
    if not -axes <= dim < axes:
        raise ShapeError(f"{type(owner).__name__}: x must have an axis {dim}, got {x.dim()} axes in {tuple(x.shape)}")


def _of_shares(sign: int = 1) -> tuple[Tangent, BackwardTangent]:
    """`tangent` and `backward_tangent` of y = softmax(sign * x) along axis `dim` of the layer.

    t_y = what backward makes of t_x, since the Jacobian is symmetric, and
    t_d_x = (what it makes of t_d_y) + sign * (t_y * (d_y - sum of d_y * y) - y * (sum of d_y * t_y))
    """

    def tangent(layer: Any, t_x: Tensor | None, y: Tensor, along: Directions) -> tuple[Tensor | None, Tensor | None]:  # noqa: ARG001
        t_y = None if t_x is None else layer.backward(t_x, y)
        return t_y, t_y

    def backward_tangent(
        layer: Any, d_y: Tensor, t_d_y: Tensor, y: Tensor, t_y: Tensor | None, along: Directions
    ) -> tuple[Tensor | None, Tensor | None]:
        d_x, t_d_x = backward_of_both(layer, d_y, t_d_y, y, t_y, along)
        if t_y is None or t_d_x is None:
            return d_x, t_d_x
        around, t_around = ((d_y * each).sum(layer.dim, keepdim=True) for each in (y, t_y))
        return d_x, t_d_x + sign * (t_y * (d_y - around) - y * t_around)

    return tangent, backward_tangent


class _AlongAxis(Module):
    conformance: ClassVar[dict[str, Any]] = {"arguments": {"dim": -1}, "inputs": [(5, 4)]}

    def __init__(self, dim: int | None = None) -> None:
        if type(dim) is not int:
            raise ArgumentError(
                f"{type(self).__name__}: dim must be a whole number, the axis along which the outputs add up to 1, "
                f"got {shown(dim)}; write dim=-1 for the last axis"
            )
        self.dim = dim


class Softmax(_AlongAxis):
    """Make the numbers along an axis positive shares that sum to 1, larger for larger numbers.

    Forward:   y = exp(x) / sum of exp(x) along the axis
    Backward:  d_x = y * (d_y - sum of d_y * y along the axis)
    Kernel:    aten._softmax_backward_data
    Shapes:    x, y: any with an axis dim
    Raises:    ShapeError if there is no such axis; DtypeError if d_y has not the dtype of y; ArgumentError unless dim
               is a whole number
    Source:    Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs, with
               relationships to statistical pattern recognition"

    Example:
        >>> Softmax(dim=-1)(torch.tensor([0.0, 0.0, 1.0, 1.0]))
        tensor([0.1345, 0.1345, 0.3655, 0.3655])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_axis(self, x, self.dim)
        y = x.softmax(self.dim)
        return y, y

    def backward(self, d_y: Tensor, y: Tensor) -> Tensor | None:
        require_saved(self, y, Tensor)
        require_upstream(self, d_y, y.shape)
        require_like(self, d_y, y, "d_y", "output")
        return torch._softmax_backward_data(d_y, y, self.dim, y.dtype) if self.input_grad else None

    tangent, backward_tangent = _of_shares()


class Softmin(_AlongAxis):
    """Make the numbers along an axis positive shares that sum to 1, larger for smaller numbers.

    Forward:   y = exp(-x) / sum of exp(-x) along the axis
    Backward:  d_x = -y * (d_y - sum of d_y * y along the axis)
    Kernel:    aten._softmax_backward_data
    Shapes:    x, y: any with an axis dim
    Raises:    ShapeError if there is no such axis; DtypeError if d_y has not the dtype of y; ArgumentError unless dim
               is a whole number
    Source:    torch.nn.Softmin, whose definition it follows; it is Softmax of -x

    Example:
        >>> Softmin(dim=-1)(torch.tensor([0.0, 0.0, 1.0]))
        tensor([0.4223, 0.4223, 0.1554])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_axis(self, x, self.dim)
        y = (-x).softmax(self.dim)
        return y, y

    def backward(self, d_y: Tensor, y: Tensor) -> Tensor | None:
        require_saved(self, y, Tensor)
        require_upstream(self, d_y, y.shape)
        require_like(self, d_y, y, "d_y", "output")
        return -torch._softmax_backward_data(d_y, y, self.dim, y.dtype) if self.input_grad else None

    tangent, backward_tangent = _of_shares(-1)


class LogSoftmax(_AlongAxis):
    """The logarithm of softmax, exact for shares too small to be written.

    Forward:   y = x - log(sum of exp(x) along the axis)
    Backward:  d_x = d_y - exp(y) * sum of d_y along the axis
    Kernel:    aten._log_softmax_backward_data
    Shapes:    x, y: any with an axis dim
    Raises:    ShapeError if there is no such axis; DtypeError if d_y has not the dtype of y; ArgumentError unless dim
               is a whole number
    Source:    Goodfellow, Bengio and Courville 2016, "Deep Learning", section 6.2.2.3

    Example:
        >>> LogSoftmax(dim=-1)(torch.tensor([0.0, 1000.0]))
        tensor([-1000.,     0.])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_axis(self, x, self.dim)
        y = x.log_softmax(self.dim)
        return y, y

    def backward(self, d_y: Tensor, y: Tensor) -> Tensor | None:
        require_saved(self, y, Tensor)
        require_upstream(self, d_y, y.shape)
        require_like(self, d_y, y, "d_y", "output")
        return torch._log_softmax_backward_data(d_y, y, self.dim, y.dtype) if self.input_grad else None

    def tangent(self, t_x: Tensor | None, y: Tensor, along: Directions) -> tuple[Tensor | None, Tensor | None]:  # noqa: ARG002
        t_y = None if t_x is None else t_x - (y.exp() * t_x).sum(self.dim, keepdim=True)
        return t_y, t_y

    def backward_tangent(
        self,
        d_y: Tensor,
        t_d_y: Tensor,
        y: Tensor,
        t_y: Tensor | None,
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor | None, Tensor | None]:
        d_x, t_d_x = self.backward(d_y, y), self.backward(t_d_y, y)
        if t_y is None or t_d_x is None:
            return d_x, t_d_x
        return d_x, t_d_x - y.exp() * t_y * d_y.sum(self.dim, keepdim=True)


class Softmax2d(Module):
    """Softmax over the channels at each place of an image.

    Forward:   y = exp(x) / sum of exp(x) over the channels
    Backward:  d_x = y * (d_y - sum of d_y * y over the channels)
    Kernel:    aten._softmax_backward_data
    Shapes:    x, y: (batch, channels, height, width) or (channels, height, width)
    Raises:    ShapeError for other axes; DtypeError if d_y has not the dtype of y
    Source:    torch.nn.Softmax2d, whose definition it follows; a softmax at each pixel: Long, Shelhamer and Darrell
               2014, "Fully convolutional networks for semantic segmentation"

    Example:
        >>> Softmax2d()(torch.zeros(2, 1, 3))
        tensor([[[0.5000, 0.5000, 0.5000]],
        <BLANKLINE>
                [[0.5000, 0.5000, 0.5000]]])
    """

    dim: ClassVar[int] = -3
    conformance: ClassVar[dict[str, Any]] = {"inputs": [(2, 3, 2, 2)], "tags": ("fixed_dimensions",)}

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_floating(self, x)
        if x.dim() not in (3, 4):
            raise ShapeError(
                f"Softmax2d: x must be (channels, height, width), with or without a batch in front, got "
                f"{tuple(x.shape)}"
            )
        y = x.softmax(self.dim)
        return y, y

    def backward(self, d_y: Tensor, y: Tensor) -> Tensor | None:
        require_saved(self, y, Tensor)
        require_upstream(self, d_y, y.shape)
        require_like(self, d_y, y, "d_y", "output")
        return torch._softmax_backward_data(d_y, y, self.dim, y.dtype) if self.input_grad else None

    tangent, backward_tangent = _of_shares()


class GLU(_AlongAxis):
    """Let half of the numbers through gates that the other half opens.

    Forward:   y = a * s with (a, b) the halves of x along the axis and s = 1 / (1 + exp(-b))
    Backward:  d_a = d_y * s;  d_b = d_y * a * s * (1 - s);  d_x = both along the axis
    Kernel:    aten.glu_backward
    Shapes:    x: any with an even size along dim;  y: the same with half of that size
    Raises:    ShapeError if there is no such axis or its size is odd; DtypeError if d_y has not the dtype of y;
               ArgumentError unless dim is a whole number
    Source:    Dauphin et al. 2016, "Language modeling with gated convolutional networks"

    Example:
        >>> GLU()(torch.tensor([2.0, 3.0, 0.0, 100.0]))
        tensor([1., 3.])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_axis(self, x, self.dim)
        if x.dim() == 0 or x.shape[self.dim] % 2:
            raise ShapeError(f"GLU: x must have an even size along axis {self.dim}, got {tuple(x.shape)}")
        return torch.nn.functional.glu(x, self.dim), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        require_saved(self, x, Tensor)
        half = list(x.shape)
        half[self.dim] //= 2
        require_upstream(self, d_y, tuple(half))
        require_like(self, d_y, x, "d_y", "output")
        return aten.glu_backward(d_y, x, self.dim) if self.input_grad else None

    def tangent(self, t_x: Tensor | None, x: Tensor, along: Directions) -> tuple[Tensor | None, Tensor | None]:  # noqa: ARG002
        if t_x is None:
            return None, None
        (a, b), (t_a, t_b) = x.chunk(2, self.dim), t_x.chunk(2, self.dim)
        s = b.sigmoid()
        return t_a * s + a * s * (1 - s) * t_b, t_x

    def backward_tangent(
        self,
        d_y: Tensor,
        t_d_y: Tensor,
        x: Tensor,
        t_x: Tensor | None,
        along: Directions,  # noqa: ARG002
    ) -> tuple[Tensor | None, Tensor | None]:
        d_x, t_d_x = self.backward(d_y, x), self.backward(t_d_y, x)
        if t_x is None or t_d_x is None:
            return d_x, t_d_x
        (a, b), (t_a, t_b) = x.chunk(2, self.dim), t_x.chunk(2, self.dim)
        s = b.sigmoid()
        t_s = s * (1 - s) * t_b
        return d_x, t_d_x + torch.cat([d_y * t_s, d_y * (t_a * s * (1 - s) + a * (1 - 2 * s) * t_s)], self.dim)
