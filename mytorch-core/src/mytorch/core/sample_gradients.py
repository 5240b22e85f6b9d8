"""The gradients of one parameter for each sample of a batch, in whatever form makes what is asked of them cheap."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from mytorch.core.errors import ShapeError

AT_ONCE = 2**24
"""How many numbers are formed at once where all gradients together would be more."""


@dataclass(frozen=True)
class SampleGradients:
    """What a batch's gradient of one parameter is the sum of: one summand for each sample.

    Layers state them in the form in which they arise, `EachSample`, `OuterProducts`, `TableRows` or one of their own;
    what follows from them is the same for all, and forms the gradients themselves only where that is cheaper.

    scale: what each gradient is multiplied by, beside what the form holds.

    Example:
        >>> import torch
        >>> from mytorch.core import OuterProducts
        >>> of_two = OuterProducts(torch.ones(2, 1, 4), torch.tensor([[[3.0, 4.0]], [[0.0, 1.0]]]), (4, 2))
        >>> of_two.each().shape, of_two.squared_norms()
        (torch.Size([2, 4, 2]), tensor([100.,   4.]))
    """

    def each(self) -> Tensor:
        """The gradients: (samples, *shape of the parameter)."""
        raise NotImplementedError

    def sizes(self) -> tuple[int, ...]:
        """(samples, *shape of the parameter), as `each` has it, but without forming it where the form says it.

        Raises ShapeError if the parts of the form do not fit together.
        """
        return tuple(self.each().shape)

    def squared_norms(self) -> Tensor:
        """The square of the Euclidean norm of each gradient: (samples,)."""
        return _squares(self.each())

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """The sum of weights[n] times the gradient of sample n: the shape of the parameter."""
        values = self.each()
        return (weights @ values.flatten(1)).reshape(values.shape[1:])

    def sum_of_squares(self) -> Tensor:
        """The sum over samples of each number's square: the shape of the parameter."""
        return self.each().square().sum(0)

    def along(self, vector: Tensor) -> Tensor:
        """The inner product of each gradient with a tensor of the parameter's shape: (samples,)."""
        return self.each().flatten(1) @ vector.flatten()

    def products(self, other: SampleGradients) -> Tensor:
        """The inner product of each gradient with each of another batch: (samples, samples of other).

        Both are of one parameter. With the same gradients twice, the diagonal is `squared_norms`. Never are more than
        some millions of numbers formed at once beside the result.
        """
        size = max(1, AT_ONCE // max(1, math.prod(self.sizes()[1:])))
        bands = []
        for start in range(0, self.sizes()[0], size):
            band = EachSample(self.some(start, start + size).each())
            bands.append(_by_blocks(band, other, size, _of_each))
        return torch.cat(bands)

    def outer_products(self) -> OuterProducts | None:
        """The same gradients as sums of outer products; None where they do not arise as such."""
        return None

    def some(self, start: int, end: int) -> SampleGradients:
        """The gradients of the samples from `start` to before `end`."""
        return EachSample(self.each()[start:end])

    def precise(self) -> SampleGradients:
        """The same gradients, of which `squared_norms` is right where large numbers cancel, too."""
        return self

    def scaled(self, factor: float) -> SampleGradients:
        """The same gradients times a number."""
        raise NotImplementedError


Product = Callable[[SampleGradients, SampleGradients], Tensor]


@dataclass(frozen=True)
class EachSample(SampleGradients):
    """The gradients as they are.

    values: (samples, *shape of the parameter)
    """

    values: Tensor
    scale: float = 1.0

    def each(self) -> Tensor:
        return self.values if self.scale == 1 else self.values * self.scale

    def sizes(self) -> tuple[int, ...]:
        return tuple(self.values.shape)

    def squared_norms(self) -> Tensor:
        squares = _squares(self.values)
        return squares if self.scale == 1 else squares.mul_(self.scale**2)

    def some(self, start: int, end: int) -> EachSample:
        return replace(self, values=self.values[start:end])

    def scaled(self, factor: float) -> EachSample:
        return EachSample(self.values, self.scale * factor)


@dataclass(frozen=True)
class OuterProducts(SampleGradients):
    """Sums of outer products: gradient[n] = sum over t of outer(d_rows[n, t], rows[n, t]).

    So is that of every matrix that maps rows to rows. Its norm needs no gradient: the square is the sum over t and s
    of (d_rows[n, t] . d_rows[n, s]) * (rows[n, t] . rows[n, s]), which is cheaper where a sample has few rows.

    d_rows, rows: (samples, t, out) and (samples, t, in), or with one more axis before t: of a matrix of several
        blocks, one below the other, each of which maps rows of its own
    shape: that of the parameter, with the numbers of (blocks * out, in)
    gradients_in_rows: whether `rows` hold the gradients at the layer's output, and `d_rows` what multiplies the
        parameter, as where the first axis of the parameter belongs to the input; `kronecker` must tell them apart
    """

    d_rows: Tensor
    rows: Tensor
    shape: tuple[int, ...]
    scale: float = 1.0
    gradients_in_rows: bool = False

    def each(self) -> Tensor:
        d_rows = self.d_rows if self.scale == 1 else self.d_rows * self.scale  # fewer numbers than their products
        values = d_rows.mT * self.rows if self.rows.shape[-2] == 1 else d_rows.mT @ self.rows
        return values.reshape(len(self.rows), *self.shape)

    def sizes(self) -> tuple[int, ...]:
        d_rows, rows = self.d_rows.shape, self.rows.shape
        fit = len(rows) in (3, 4) and d_rows[:-1] == rows[:-1]
        if not fit or math.prod(self.shape) != math.prod(rows[1:-2]) * d_rows[-1] * rows[-1]:
            raise ShapeError(
                "OuterProducts: d_rows and rows must be (samples, t, out) and (samples, t, in) of a parameter with "
                f"out * in numbers, got {tuple(d_rows)} and {tuple(rows)} of {tuple(self.shape)}"
            )
        return rows[0], *self.shape

    def squared_norms(self) -> Tensor:
        t = self.rows.shape[-2]
        if t == 1:
            norms: Tensor = torch.linalg.vector_norm(self.d_rows, dim=(-2, -1))
            squares = norms.mul_(torch.linalg.vector_norm(self.rows, dim=(-2, -1))).square_()
        elif self._is_small(t):
            squares = (self.d_rows @ self.d_rows.mT).mul_(self.rows @ self.rows.mT)
        else:
            parts = [_squares(d_rows.mT @ rows) for d_rows, rows in self._pairs()]
            squares = torch.cat(parts) if len(parts) > 1 else parts[0]
        squares = squares if squares.dim() == 1 else squares.flatten(1).sum(1)
        return squares if self.scale == 1 else squares.mul_(self.scale**2)

    def weighted_sum(self, weights: Tensor) -> Tensor:
        d_rows = self.d_rows * (weights * self.scale).reshape(-1, *(1,) * (self.d_rows.dim() - 1))
        d_rows, rows = _with_blocks(d_rows), _with_blocks(self.rows)
        d_rows, rows = d_rows.transpose(0, 1).flatten(1, 2), rows.transpose(0, 1).flatten(1, 2)
        return (d_rows.mT @ rows).reshape(self.shape)

    def sum_of_squares(self) -> Tensor:
        if self.rows.shape[-2] == 1:
            squared = OuterProducts(self.d_rows.square(), self.rows.square(), self.shape, self.scale**2)
            return squared.weighted_sum(self.rows.new_ones(len(self.rows)))
        zero = self.rows.new_zeros(self.shape)
        return sum((part.each().square_().sum(0) for part in self._parts()), zero)

    def scaled(self, factor: float) -> OuterProducts:
        return OuterProducts(self.d_rows, self.rows, self.shape, self.scale * factor, self.gradients_in_rows)

    def along(self, vector: Tensor) -> Tensor:
        d_rows, rows = _with_blocks(self.d_rows), _with_blocks(self.rows)
        matrices = vector.reshape(d_rows.shape[1], d_rows.shape[-1], rows.shape[-1])
        return (d_rows @ matrices).mul_(rows).flatten(1).sum(1).mul_(self.scale)

    def products(self, other: SampleGradients) -> Tensor:
        """As for all forms; products of the factors with each other take its place where they are fewer numbers."""
        if not isinstance(other, OuterProducts) or self.rows.dim() != other.rows.dim():
            return super().products(other)
        t, s = self.rows.shape[-2], other.rows.shape[-2]
        n_out, n_in = self.d_rows.shape[-1], self.rows.shape[-1]
        if other.d_rows.shape[-1] != n_out or t * s * (n_out + n_in) > n_out * n_in:
            return super().products(other)
        size = max(1, math.isqrt(AT_ONCE // (t * s)))
        return _by_blocks(self, other, size, _of_factors)

    def outer_products(self) -> OuterProducts:
        return self

    def some(self, start: int, end: int) -> OuterProducts:
        return replace(self, d_rows=self.d_rows[start:end], rows=self.rows[start:end])

    def precise(self) -> OuterProducts:
        t = self.rows.shape[-2]
        if t == 1 or not self._is_small(t):  # sums of squares, in which nothing cancels
            return self
        return replace(self, d_rows=self.d_rows.double(), rows=self.rows.double())

    def _is_small(self, t: int) -> bool:
        """Whether products of a sample's rows with each other are fewer than the numbers of its gradient."""
        n_out, n_in = self.d_rows.shape[-1], self.rows.shape[-1]
        return t * (n_out + n_in) < n_out * n_in

    def _parts(self) -> list[OuterProducts]:
        """Some samples at a time, whose gradients fit into memory."""
        return [OuterProducts(*pair, self.shape, self.scale) for pair in self._pairs()]

    def _pairs(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Some samples of `d_rows` and `rows` at a time, whose gradients fit into memory."""
        size = max(1, AT_ONCE // max(1, math.prod(self.shape)))
        return zip(self.d_rows.split(size), self.rows.split(size), strict=True)


@dataclass(frozen=True)
class TableRows(SampleGradients):
    """Gradients of a table of which each sample uses some rows: those of all other rows are 0.

    values: (entries, columns), one entry for each sample and row that it uses
    sample_of, row_of: (entries,), where an entry belongs
    samples: how many there are
    shape: that of the table
    """

    values: Tensor
    sample_of: Tensor
    row_of: Tensor
    samples: int
    shape: tuple[int, int]
    scale: float = 1.0

    @classmethod
    def of_uses(cls, sample_of: Tensor, row_of: Tensor, d_rows: Tensor, samples: int, shape: tuple[int, int]) -> Self:
        """From single uses of a row by a sample, each with its gradient; a sample may use a row several times."""
        kept, entry_of = (sample_of * shape[0] + row_of).unique(return_inverse=True)
        values = d_rows.new_zeros(len(kept), shape[1]).index_add_(0, entry_of, d_rows)
        return cls(values, kept.div(shape[0], rounding_mode="floor"), kept % shape[0], samples, shape)

    def each(self) -> Tensor:
        values = self.values.new_zeros(self.samples, *self.shape)
        values[self.sample_of, self.row_of] = self.values
        return values if self.scale == 1 else values.mul_(self.scale)

    def sizes(self) -> tuple[int, ...]:
        values, places = tuple(self.values.shape), (tuple(self.sample_of.shape), tuple(self.row_of.shape))
        if any((*each, self.shape[1]) != values for each in places):
            raise ShapeError(
                f"TableRows: values must be (entries, {self.shape[1]}), and sample_of and row_of (entries,), "
                f"got {values}, {places[0]} and {places[1]}"
            )
        return self.samples, *self.shape

    def squared_norms(self) -> Tensor:
        norms = self.values.new_zeros(self.samples).index_add_(0, self.sample_of, self.values.square().sum(1))
        return norms * self.scale**2

    def weighted_sum(self, weights: Tensor) -> Tensor:
        values = self.values * (weights[self.sample_of] * self.scale).unsqueeze(1)
        return values.new_zeros(self.shape).index_add_(0, self.row_of, values)

    def sum_of_squares(self) -> Tensor:
        total = self.values.new_zeros(self.shape).index_add_(0, self.row_of, self.values.square())
        return total * self.scale**2

    def along(self, vector: Tensor) -> Tensor:
        shares = (self.values * vector[self.row_of]).sum(1)
        return self.values.new_zeros(self.samples).index_add_(0, self.sample_of, shares).mul_(self.scale)

    def products(self, other: SampleGradients) -> Tensor:
        """As for all forms, from pairs of entries that are of the same row of the table."""
        if not isinstance(other, TableRows):
            return super().products(other)
        rows, order = other.row_of.sort()
        first = torch.searchsorted(rows, self.row_of)
        counts = torch.searchsorted(rows, self.row_of, right=True) - first
        found = self.values.new_zeros(self.samples * other.samples)
        most = int(counts.max()) * self.shape[1] if len(counts) else 0
        for block in torch.arange(len(counts), device=counts.device).split(max(1, AT_ONCE // max(1, most))):
            mine = block.repeat_interleave(counts[block])
            before = (counts[block].cumsum(0) - counts[block]).repeat_interleave(counts[block])
            its = order[first[mine] + torch.arange(len(mine), device=mine.device) - before]
            place = self.sample_of[mine] * other.samples + other.sample_of[its]
            found.index_add_(0, place, (self.values[mine] * other.values[its]).sum(1))
        return found.reshape(self.samples, other.samples).mul_(self.scale * other.scale)

    def some(self, start: int, end: int) -> TableRows:
        kept = (self.sample_of >= start) & (self.sample_of < end)
        samples = len(range(*slice(start, end).indices(self.samples)))
        values, sample_of = self.values[kept], self.sample_of[kept] - start
        return replace(self, values=values, sample_of=sample_of, row_of=self.row_of[kept], samples=samples)

    def scaled(self, factor: float) -> Self:
        return replace(self, scale=self.scale * factor)


@dataclass(frozen=True)
class Stacked(SampleGradients):
    """Gradients of a matrix whose blocks, one below the other, are stated one by one.

    parts: those of the blocks, from top to bottom
    shape: that of the whole
    """

    parts: tuple[SampleGradients, ...]
    shape: tuple[int, ...]

    def each(self) -> Tensor:
        values = torch.cat([part.each().flatten(1) for part in self.parts], 1)
        return values.reshape(len(values), *self.shape)

    def sizes(self) -> tuple[int, ...]:
        parts = [part.sizes() for part in self.parts]
        samples = {sizes[0] for sizes in parts}
        if len(samples) != 1 or sum(math.prod(sizes[1:]) for sizes in parts) != math.prod(self.shape):
            raise ShapeError(
                f"Stacked: parts must be of as many samples each, and together of {tuple(self.shape)}, got {parts}"
            )
        return *samples, *self.shape

    def along(self, vector: Tensor) -> Tensor:
        sizes = [math.prod(part.sizes()[1:]) for part in self.parts]
        blocks = zip(self.parts, vector.flatten().split(sizes), strict=True)
        return torch.stack([part.along(block.reshape(part.sizes()[1:])) for part, block in blocks]).sum(0)

    def products(self, other: SampleGradients) -> Tensor:
        """As for all forms, block by block where both have the same blocks."""
        blocks = [part.sizes()[1:] for part in self.parts]
        if not isinstance(other, Stacked) or [part.sizes()[1:] for part in other.parts] != blocks:
            return super().products(other)
        pairs = zip(self.parts, other.parts, strict=True)
        return torch.stack([part.products(its) for part, its in pairs]).sum(0)

    def some(self, start: int, end: int) -> Stacked:
        return replace(self, parts=tuple(part.some(start, end) for part in self.parts))

    def precise(self) -> Stacked:
        return replace(self, parts=tuple(part.precise() for part in self.parts))

    def squared_norms(self) -> Tensor:
        return torch.stack([part.squared_norms() for part in self.parts]).sum(0)

    def weighted_sum(self, weights: Tensor) -> Tensor:
        return torch.cat([part.weighted_sum(weights).flatten() for part in self.parts]).reshape(self.shape)

    def sum_of_squares(self) -> Tensor:
        return torch.cat([part.sum_of_squares().flatten() for part in self.parts]).reshape(self.shape)

    def scaled(self, factor: float) -> Self:
        return replace(self, parts=tuple(part.scaled(factor) for part in self.parts))


def added(parts: Sequence[SampleGradients]) -> SampleGradients:
    """The gradients of a parameter that was used several times: of each sample, the sum over the uses."""
    if len(parts) == 1:
        return parts[0]
    products = [each for each in (part.outer_products() for part in parts) if each is not None]
    alike = {(part.shape, part.scale, part.rows.dim()) for part in products}
    if len(products) == len(parts) and len(alike) == 1:  # the sum over t goes on over the other uses
        d_rows = torch.cat([part.d_rows for part in products], -2)
        return replace(products[0], d_rows=d_rows, rows=torch.cat([part.rows for part in products], -2))
    first, *others = parts
    return EachSample(sum((part.each() for part in others), first.each()))


def rows_of_samples(x: Tensor, axis: int = 0) -> Tensor:
    """(samples, t, features) of a tensor whose last axis holds features and whose `axis` the samples."""
    x = x if axis == 0 else x.movedim(axis, 0)
    return x.unsqueeze(1) if x.dim() == 2 else x.flatten(1, -2)


def _by_blocks(one: SampleGradients, other: SampleGradients, size: int, product: Product) -> Tensor:
    """The products of all samples, computed of `size` by `size` at a time."""
    n, m = one.sizes()[0], other.sizes()[0]
    if n <= size and m <= size:
        return product(one, other)
    bands = []
    for start in range(0, n, size):
        band = one.some(start, start + size)
        bands.append(torch.cat([product(band, other.some(its, its + size)) for its in range(0, m, size)], 1))
    return torch.cat(bands)


def _of_each(one: SampleGradients, other: SampleGradients) -> Tensor:
    return one.each().flatten(1) @ other.each().flatten(1).mT


def _of_factors(one: SampleGradients, other: SampleGradients) -> Tensor:
    """The sum over t and s of (d_rows[n, t] . d_rows'[m, s]) * (rows[n, t] . rows'[m, s]), for all n and m."""
    assert isinstance(one, OuterProducts)
    assert isinstance(other, OuterProducts)
    found = _all_with_all(one.d_rows, other.d_rows).mul_(_all_with_all(one.rows, other.rows))
    n, t, m, s = len(one.rows), one.rows.shape[-2], len(other.rows), other.rows.shape[-2]
    if t * s > 1:
        found = found.reshape(-1, n, t, m, s).sum((0, 2, 4))
    return found.reshape(-1, n, m).sum(0).mul_(one.scale * other.scale)


def _all_with_all(one: Tensor, other: Tensor) -> Tensor:
    """Products of the rows of all samples with each other: (blocks, samples * t, samples' * s)."""
    one, other = (_with_blocks(each).transpose(0, 1).flatten(1, 2) for each in (one, other))
    return one @ other.mT


def _with_blocks(x: Tensor) -> Tensor:
    return x if x.dim() == 4 else x.unsqueeze(1)


def _squares(each: Tensor) -> Tensor:
    """The squares of norms, by one pass over the gradients."""
    norms: Tensor = torch.linalg.vector_norm(each.flatten(1), dim=1)
    return norms.square_()
