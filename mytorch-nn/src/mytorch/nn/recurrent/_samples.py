"""The gradients of single samples of recurrent layers: the rows that backward would have added up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from mytorch.core import EachSample, OuterProducts, Parameter, SampleGradients, added


class Rows:
    """Takes the place of `Step.add`, and keeps the rows instead of adding them up.

    batch: how many sequences there are
    stretches: how many rows the steps have, of each stretch in the order in which backward comes to them; a stretch
        adds to each weight once
    order: the place of each sequence among the rows of a step; None if the sequences are not sorted
    """

    def __init__(self, batch: int, stretches: Sequence[Sequence[int]], order: Tensor | None = None) -> None:
        self.batch, self.stretches, self.order = batch, stretches, order
        self.parts: dict[Parameter, list[SampleGradients]] = {}

    def add(self, weight: Parameter, bias: Parameter | None, d_rows: Tensor, rows: Tensor) -> None:
        """Keep the rows of one stretch."""
        parts = self.parts.setdefault(weight, [])
        sizes = self.stretches[len(parts)]
        d_rows, rows = self._of_samples(d_rows, sizes), self._of_samples(rows, sizes)
        parts.append(OuterProducts(d_rows, rows, tuple(weight.value.shape)))
        if bias is not None:
            self.parts.setdefault(bias, []).append(EachSample(d_rows.sum(1)))

    def stated(self, names: Mapping[str, Parameter | None]) -> Iterator[tuple[str, SampleGradients]]:
        """What was kept, by name."""
        for name, parameter in names.items():
            if parameter is not None:
                yield name, added(self.parts[parameter])

    def _of_samples(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        """(batch, steps, features) of rows that stand step by step; 0 at the steps that a sequence does not have."""
        if all(size == self.batch for size in sizes):
            whole = rows.reshape(len(sizes), self.batch, rows.shape[1])
        else:
            whole = rows.new_zeros(len(sizes), self.batch, rows.shape[1])
            for step, some in enumerate(rows.split(list(sizes))):
                whole[step, : len(some)] = some
        samples = whole.transpose(0, 1)
        return samples if self.order is None else samples.index_select(0, self.order)
