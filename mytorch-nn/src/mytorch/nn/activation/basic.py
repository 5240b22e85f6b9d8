"""Functions of each number by itself. Their saved value is the output, which the next layer keeps anyway."""

import torch
from torch import Tensor

from mytorch.core import (
    FLOATING,
    DtypeError,
    Module,
    require_real,
    require_same_device,
    require_saved,
    require_upstream,
)
from mytorch.nn._tangents import elementwise

_strided = torch.strided
_threshold_backward = torch.ops.aten.threshold_backward.default
_tanh_backward = torch.ops.aten.tanh_backward.default
_sigmoid_backward = torch.ops.aten.sigmoid_backward.default


class ReLU(Module):
    """Cut off what is negative.

    Forward:   y = max(x, 0)
    Backward:  d_x = d_y where y > 0, else 0 (0 at x = 0 too, as in PyTorch)
    Shapes:    x, y: any, the same
    Raises:    DtypeError for truth values, complex and sparse x, and uint16 to uint64; ShapeError if d_y has not the
               shape of y
    Source:    Nair and Hinton 2010, "Rectified linear units improve restricted Boltzmann machines"; as a function of
               analog neurons: Fukushima 1969, "Visual feature extraction by a multilayered network of analog threshold
               elements"

    Example:
        >>> ReLU()(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not isinstance(x, Tensor) or x.requires_grad or x.dtype not in FLOATING or x.layout is not _strided:
            require_real(self, x)
        try:
            y = x.relu()
        except NotImplementedError as error:  # of uint16 and larger
            raise DtypeError(
                f"ReLU: x must have a dtype in which torch compares numbers, got {x.dtype}; convert with .float()"
            ) from error
        return y, y

    def backward(self, d_y: Tensor, y: Tensor) -> Tensor | None:
        if not isinstance(y, Tensor):
            require_saved(self, y, Tensor)
        require_upstream(self, d_y, y.shape)
        try:
            return _threshold_backward(d_y, y, 0) if self.input_grad else None
        except RuntimeError:  # to compare devices before costs each step of a small network
            require_same_device(self, d_y, y, "d_y", "output")
            raise

    tangent, backward_tangent = elementwise()


class Tanh(Module):
    """Squash into (-1, 1).

    Forward:   y = tanh(x)
    Backward:  d_x = d_y * (1 - y^2)
    Shapes:    x, y: any, the same
    Raises:    DtypeError for truth values, complex and sparse x; ShapeError if d_y has not the shape of y
    Source:    LeCun et al. 1998, "Efficient BackProp"

    Example:
        >>> Tanh()(torch.tensor([-1.0, 2.0]))
        tensor([-0.7616,  0.9640])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not isinstance(x, Tensor) or x.requires_grad or x.dtype not in FLOATING or x.layout is not _strided:
            require_real(self, x)
        y = x.tanh()
        return y, y

    def backward(self, d_y: Tensor, y: Tensor) -> Tensor | None:
        if not isinstance(y, Tensor):
            require_saved(self, y, Tensor)
        require_upstream(self, d_y, y.shape, like=y)
        return _tanh_backward(d_y, y) if self.input_grad else None

    tangent, backward_tangent = elementwise(lambda _, y: -2 * y * (1 - y * y))


class Sigmoid(Module):
    """Squash into (0, 1).

    Forward:   y = 1 / (1 + exp(-x))
    Backward:  d_x = d_y * y * (1 - y)
    Shapes:    x, y: any, the same
    Raises:    DtypeError for truth values, complex and sparse x; ShapeError if d_y has not the shape of y
    Source:    Rumelhart, Hinton and Williams 1986, "Learning representations by back-propagating errors"

    Example:
        >>> Sigmoid()(torch.tensor([-1.0, 2.0]))
        tensor([0.2689, 0.8808])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not isinstance(x, Tensor) or x.requires_grad or x.dtype not in FLOATING or x.layout is not _strided:
            require_real(self, x)
        y = x.sigmoid()
        return y, y

    def backward(self, d_y: Tensor, y: Tensor) -> Tensor | None:
        if not isinstance(y, Tensor):
            require_saved(self, y, Tensor)
        require_upstream(self, d_y, y.shape, like=y)
        return _sigmoid_backward(d_y, y) if self.input_grad else None

    tangent, backward_tangent = elementwise(lambda _, y: y * (1 - y) * (1 - 2 * y))
