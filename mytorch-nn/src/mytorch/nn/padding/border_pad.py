"""Padding with values of the input itself: mirrored, repeated, or from the other end."""

from __future__ import annotations

from mytorch.nn.padding._padding import Padding


class _ReflectionPad(Padding):
    """Surround the last axes with their mirror image; the border itself is not repeated.

    Forward:   y[-i] = x[i] and y[length - 1 + i] = x[length - 1 - i] for i up to the amount, axis by axis
    Backward:  d_x = d_y within, plus the d_y of each mirrored value at the value that it copied
    Shapes:    x: (channels, length), (channels, height, width) or (channels, depth, height, width), by the
               dimensions of the class, with or without a batch in front; y: each size grown by its two amounts
    Arguments: padding is one amount for all sides or (left, right, top, bottom, front, back)
    Raises:    ShapeError for other axes, or an amount that is not below its axis' size
    Source:    torch.nn.functional.pad in mode "reflect", whose definition it follows

    Example:
        >>> ReflectionPad1d(2)(torch.arange(4.0).reshape(1, 4))
        tensor([[2., 1., 0., 1., 2., 3., 2., 1.]])
    """

    mode = "reflect"


class ReflectionPad1d(_ReflectionPad):
    dimensions = 1


class ReflectionPad2d(_ReflectionPad):
    dimensions = 2


class ReflectionPad3d(_ReflectionPad):
    dimensions = 3


class _ReplicationPad(Padding):
    """Surround the last axes with copies of their border.

    Forward:   y[-i] = x[0] and y[length - 1 + i] = x[length - 1] for i up to the amount, axis by axis
    Backward:  d_x = d_y within, plus at each border the sum of the d_y of its copies
    Shapes:    x: (channels, length), (channels, height, width) or (channels, depth, height, width), by the
               dimensions of the class, with or without a batch in front; y: each size grown by its two amounts
    Arguments: padding is one amount for all sides or (left, right, top, bottom, front, back)
    Raises:    ShapeError for other axes, or an axis without values to repeat;
               ArgumentError for a y that has no room in memory
    Source:    torch.nn.functional.pad in mode "replicate", whose definition it follows

    Example:
        >>> ReplicationPad1d((1, 2))(torch.arange(3.0).reshape(1, 3))
        tensor([[0., 0., 1., 2., 2., 2.]])
    """

    mode = "replicate"


class ReplicationPad1d(_ReplicationPad):
    dimensions = 1


class ReplicationPad2d(_ReplicationPad):
    dimensions = 2


class ReplicationPad3d(_ReplicationPad):
    dimensions = 3


class _CircularPad(Padding):
    """Surround the last axes with values of their other end, as on a ring.

    Forward:   y[-i] = x[length - i] and y[length - 1 + i] = x[i - 1] for i up to the amount, axis by axis
    Backward:  d_x = d_y within, plus the d_y of each added value at the value that it copied
    Shapes:    x: (channels, length), (channels, height, width) or (channels, depth, height, width), by the
               dimensions of the class, with or without a batch in front; y: each size grown by its two amounts
    Arguments: padding is one amount for all sides or (left, right, top, bottom, front, back)
    Raises:    ShapeError for other axes, or an amount above its axis' size
    Source:    torch.nn.functional.pad in mode "circular", whose definition it follows

    Example:
        >>> CircularPad1d((1, 2))(torch.arange(3.0).reshape(1, 3))
        tensor([[2., 0., 1., 2., 0., 1.]])
    """

    mode = "circular"


class CircularPad1d(_CircularPad):
    dimensions = 1


class CircularPad2d(_CircularPad):
    dimensions = 2


class CircularPad3d(_CircularPad):
    dimensions = 3
