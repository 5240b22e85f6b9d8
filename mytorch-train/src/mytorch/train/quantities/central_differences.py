"""The derivative of a function along a line, from its values, with the error that this makes."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
"""Lengths, relative to that of the numbers that move, of the steps of a difference, tried until its error is small."""

TOLERANCE = 1e-7
"""The relative error up to which nothing is said; float64 allows about 1e-10 where there are no kinks nearby."""

NOTICED = 1e-4
"""A derivative by which a function changes less than this, relative to itself, counts as that large for the error."""


def derivative(function: Callable[[float], Tensor], unit: float) -> tuple[Tensor, float]:
    """The derivative of a function of one number at 0, in float64, and its relative error.

    Formula:  D(h) = (f(h) - f(-h)) / (2 * h);  f' = (4 * D(h / 2) - D(h)) / 3 (Richardson)
    Its error is measured by a step of half the length; where it is large, smaller steps are tried.
    unit: by how much the number may change for what the function depends on to change by about itself.
    """
    least = max(NOTICED * float(function(0.0).norm()) / unit, 1e-300)
    best: tuple[Tensor, float] | None = None
    for step in STEPS:
        one, half, quarter = (_central(function, step * unit / 2**halved) for halved in range(3))
        rough, fine = (4 * half - one) / 3, (4 * quarter - half) / 3
        error = float((fine - rough).norm() / fine.norm().clamp(min=least))
        if best is None or error < best[1]:
            best = fine, error
        if error <= TOLERANCE / 100:
            break
    assert best is not None
    return best


def _central(function: Callable[[float], Tensor], h: float) -> Tensor:
    return (function(h) - function(-h)) / (2 * h)
