"""Numbers that nobody draws."""

from __future__ import annotations

from torch.nn import init

from mytorch.core import ShapeError, require_range, require_whole
from mytorch.nn.init._values import Filled, values_of


def constant_(tensor: Filled, val: float) -> Filled:
    """Set each number to `val`. Raises ArgumentError if it is no number."""
    require_range("constant_", "val", val)
    init.constant_(values_of("constant_", tensor), val)
    return tensor


def ones_(tensor: Filled) -> Filled:
    """Set each number to 1."""
    init.ones_(values_of("ones_", tensor))
    return tensor


def zeros_(tensor: Filled) -> Filled:
    """Set each number to 0."""
    init.zeros_(values_of("zeros_", tensor))
    return tensor


def eye_(tensor: Filled) -> Filled:
    """Set a matrix to 1 on its diagonal and 0 elsewhere: a Linear layer passes on as many inputs as it can.

    Raises ShapeError unless it is a matrix.
    """
    init.eye_(values_of("eye_", tensor, axes=(2,)))
    return tensor


def dirac_(tensor: Filled, groups: int = 1) -> Filled:
    """Set the weight of a convolution so that it passes on as many channels as it can, in each of its groups.

    weight[g * n + c, c, middle of the window] = 1 for each group g of n output channels and each channel c, else 0.
    Raises ShapeError unless there are 3, 4 or 5 axes, of which the first can be divided by groups; ArgumentError if
    groups is no whole number of at least 1.
    """
    require_whole("dirac_", "groups", groups, 1)
    values = values_of("dirac_", tensor, axes=(3, 4, 5))
    if values.shape[0] % groups:
        raise ShapeError(
            f"dirac_: first axis of tensor must be a multiple of groups, {groups}, got {values.shape[0]} in "
            f"{tuple(values.shape)}"
        )
    if values.numel():
        init.dirac_(values, groups)
    return tensor
