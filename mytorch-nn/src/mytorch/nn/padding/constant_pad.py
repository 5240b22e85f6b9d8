"""Padding with a constant, or with zeros, in one, two or three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from mytorch.core import ArgumentError
from mytorch.nn.padding._padding import Padding
from mytorch.plugins import shown


class _ConstantPad(Padding):
    """Surround the last axes with a constant.

    Forward:   y = x with padding values before and after each of the last axes, all equal to value
    Backward:  d_x = d_y without what was added: a constant has no gradient
    Shapes:    x: (..., length), (..., height, width) or (..., depth, height, width), by the dimensions of the class;
               y: each of these sizes grown by its two amounts
    Arguments: padding is one amount for all sides or (left, right, top, bottom, front, back), as far as the
               dimensions go; a negative amount cuts values off
    Raises:    ShapeError if x has too few axes or more is cut off than there is; DtypeError if its dtype cannot hold
               value; ArgumentError for other amounts, or for a y that has no room in memory
    Source:    torch.nn.functional.pad in mode "constant", whose definition it follows

    Example:
        >>> ConstantPad1d((1, 2), 7.0)(torch.zeros(3))
        tensor([7., 0., 0., 0., 7., 7.])
    """

    mode = "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ArgumentError(f"{type(self).__name__}: value must be a number, got {shown(value)}")
        self.value = value


class ConstantPad1d(_ConstantPad):
    dimensions = 1


class ConstantPad2d(_ConstantPad):
    dimensions = 2


class ConstantPad3d(_ConstantPad):
    dimensions = 3


class _ZeroPad(Padding):
    """Surround the last axes with zeros.

    Forward:   y = x with padding zeros before and after each of the last axes
    Backward:  d_x = d_y without what was added
    Shapes:    x: (..., length), (..., height, width) or (..., depth, height, width), by the dimensions of the class;
               y: each of these sizes grown by its two amounts
    Arguments: padding is one amount for all sides or (left, right, top, bottom, front, back), as far as the
               dimensions go; a negative amount cuts values off
    Raises:    ShapeError if x has too few axes or more is cut off than there is; ArgumentError for other amounts, or
               for a y that has no room in memory
    Source:    torch.nn.functional.pad in mode "constant" with value 0, whose definition it follows

    Example:
        >>> ZeroPad2d((0, 1, 1, 0))(torch.ones(1, 1, 2))
        tensor([[[0., 0., 0.],
                 [1., 1., 0.]]])
    """

    mode = "constant"


class ZeroPad1d(_ZeroPad):
    dimensions = 1


class ZeroPad2d(_ZeroPad):
    dimensions = 2


class ZeroPad3d(_ZeroPad):
    dimensions = 3
