"""A search along a line for a point that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

C1, C2 = 1e-4, 0.9
"""How much the loss must fall, and how flat the slope must have become, in parts of the first slope."""


class Point(NamedTuple):
    """A point of the line: the step t along the direction d, and what was found there."""

    t: float
    loss: float
    grad: Tensor
    slope: float
    """grad . d"""


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, t: float, shortest: float, most: int
) -> tuple[Point, int]:
    """A point p with p.loss <= start.loss + C1 * p.t * start.slope and |p.slope| <= C2 * |start.slope|, if found.

    evaluate: gives the point of a step. t: the first step to try. shortest: a bracket narrower than this is left.
    most: at most so many steps are tried after the first.
    Returns the best point that was seen, and how many were evaluated.
    Source: Nocedal and Wright 2006, "Numerical optimization", algorithms 3.5 and 3.6; interpolation and its safeguards
        as in torch.optim.LBFGS.
    """
    bracket, tried = _bracket(evaluate, start, t, most)
    if len(bracket) == 1:
        return bracket[0], tried + 1
    low, high = sorted(bracket, key=lambda point: point.loss)  # the first stays first where losses are equal
    stuck = False
    while tried < most and abs(high.t - low.t) >= shortest:
        t, stuck = _inside(low, high, stuck)
        new = evaluate(t)
        tried += 1
        if _too_high(new, start) or new.loss >= low.loss:
            high = new
            if high.loss < low.loss:
                low, high = high, low
            continue
        if _flat(new, start):
            return new, tried + 1
        if new.slope * (high.t - low.t) >= 0:
            high = low
        low = new
    return low, tried + 1


def _bracket(evaluate: Callable[[float], Point], start: Point, t: float, most: int) -> tuple[list[Point], int]:
    """Two points with a good one between them, or one that is good; and how many were tried after the first."""
    before, new, tried = start, evaluate(t), 0
    while tried < most:
        if _too_high(new, start) or (tried > 1 and new.loss >= before.loss):
            return [before, new], tried
        if _flat(new, start):
            return [new], tried
        if new.slope >= 0:
            return [before, new], tried
        t = cubic_minimum(before, new, new.t + 0.01 * (new.t - before.t), 10 * new.t)
        before, new, tried = new, evaluate(t), tried + 1
    return [start, new], tried


def _inside(low: Point, high: Point, stuck: bool) -> tuple[float, bool]:
    """The next step to try between two, kept from their neighbourhood, and whether it came too close to one."""
    left, right = sorted((low.t, high.t))
    t = cubic_minimum(low, high, left, right)
    margin = 0.1 * (right - left)
    if min(right - t, t - left) >= margin:
        return t, False
    if stuck or t >= right or t <= left:
        return (right - margin if abs(t - right) < abs(t - left) else left + margin), False
    return t, True


def cubic_minimum(one: Point, other: Point, low: float, high: float) -> float:
    """Where the cubic through two points, with their slopes, is least, between `low` and `high`.

    The middle of these if it has no minimum.
    """
    (x1, f1, _, g1), (x2, f2, _, g2) = sorted((one, other), key=lambda point: point.t)
    if x1 != x2:
        d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
        square = d1 * d1 - g1 * g2
        if square >= 0:
            d2 = math.sqrt(square)
            bottom = g2 - g1 + 2 * d2
            if bottom != 0:
                return min(max(x2 - (x2 - x1) * ((g2 + d2 - d1) / bottom), low), high)
    return (low + high) / 2


def _too_high(point: Point, start: Point) -> bool:
    return point.loss > start.loss + C1 * point.t * start.slope


def _flat(point: Point, start: Point) -> bool:
    return abs(point.slope) <= -C2 * start.slope
