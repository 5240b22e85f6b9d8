"""The gradients of samples of several columns that have what multiplies a parameter in common."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from mytorch.core import OuterProducts, SampleGradients

NUMBERS_FORMED = 2**19
"""How many numbers of gradients are formed at once where their squares are added up: so they fit a cache."""


@dataclass(frozen=True)
class ColumnProducts(SampleGradients):
    """Sums of outer products, of which several in turn, one for each column, have the rows of one sample in common.

    factors: d_rows of samples * columns, sample by sample, and rows of the samples
    columns: how many each sample has
    """

    factors: OuterProducts
    columns: int

    def each(self) -> Tensor:
        return replace(self.factors, rows=self.factors.rows.repeat_interleave(self.columns, 0)).each()

    def sizes(self) -> tuple[int, ...]:
        samples, *shape = replace(self.factors, d_rows=self.factors.d_rows[:: self.columns]).sizes()
        return samples * self.columns, *shape

    def sum_of_squares(self) -> Tensor:
        """As for all forms; where a sample has one row, the squares of its columns are added up first."""
        d_rows, rows, shape = self.factors.d_rows, self.factors.rows, self.factors.shape
        d_rows = d_rows.unflatten(0, (len(rows), self.columns))
        if rows.shape[-2] == 1:
            first, *others = d_rows.unbind(1)
            squares = first.square()
            for column in others:  # without the squares of all columns in memory at once
                squares.addcmul_(column, column)
            squared = OuterProducts(squares, rows.square(), shape, self.factors.scale**2)
            return squared.weighted_sum(rows.new_ones(len(rows)))
        size = max(1, NUMBERS_FORMED // max(1, math.prod(shape) * self.columns))
        below = d_rows.movedim(1, -3).mT.flatten(-3, -2)  # column below column: (samples, columns * out, t)
        total = rows.new_zeros(shape)
        for part, its in zip(below.split(size), rows.split(size), strict=True):
            values = (part @ its).unflatten(-2, (self.columns, -1)).square_()
            total += values.sum((0, -3)).reshape(shape)
        return total.mul_(self.factors.scale**2)

    def scaled(self, factor: float) -> Self:
        return replace(self, factors=self.factors.scaled(factor))
