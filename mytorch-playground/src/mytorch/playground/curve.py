"""The losses of a training, thinned out so that a page can draw them however long it takes."""

from __future__ import annotations

import math

POINTS = 1000
"""Fewer are kept: of so many, an even number, each two become their mean."""


class Curve:
    """Means of the losses of so many steps each, the same for all.

    points: pairs of a step, the last of those it stands for, and their mean.

    Example:
        >>> from mytorch.playground.curve import Curve
        >>> curve = Curve()
        >>> for step, loss in enumerate((3.0, 1.0), 1):
        ...     curve.add(step, loss)
        >>> curve.points, curve.take()
        ([(1, 3.0), (2, 1.0)], 2.0)
    """

    def __init__(self) -> None:
        self.points: list[tuple[int, float]] = []
        self._width = 1
        self._bin: list[float] = []
        self._since: list[float] = []
        self._last = math.nan

    def add(self, step: int, loss: float) -> None:
        """Take in the loss of a step."""
        self._since.append(loss)
        self._bin.append(loss)
        if len(self._bin) == self._width:
            self.points.append((step, math.fsum(self._bin) / self._width))
            self._bin = []
        if len(self.points) == POINTS:
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = [(step, (first + second) / 2) for (_, first), (step, second) in pairs]
            self._width *= 2

    def take(self) -> float:
        """The mean since it was taken the last time; the same again if nothing came."""
        if self._since:
            self._last = math.fsum(self._since) / len(self._since)
            self._since = []
        return self._last
