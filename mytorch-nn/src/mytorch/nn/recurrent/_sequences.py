"""How a batch of sequences lies in memory, and the same as rows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from mytorch.core import Module, ShapeError, kind_of, require_dimensions, require_upstream
from mytorch.nn.recurrent._unroll import State

Sequence = Tensor | PackedSequence


class Layout(NamedTuple):
    """How sequences lie: (steps, batch, features), (batch, steps, features), (steps, features), or packed.

    Inside, all are rows: those of the first step, then those of the second, and so on. A PackedSequence is that
    already; its sequences are sorted by length, and states are sorted along with them.

    sizes: how many rows each step has
    """

    sizes: list[int]
    batch_first: bool
    alone: bool
    packed: PackedSequence | None

    @classmethod
    def of(cls, owner: Module, x: Sequence, batch_first: bool) -> Layout:
        """The layout of an input. Raises ShapeError for other numbers of axes, for no step, and for sizes that do not
        fit the rows.
        """
        if isinstance(x, PackedSequence):
            sizes = _require_packed(owner, x)
            return cls(sizes, batch_first, False, x)
        require_dimensions(owner, x, 2, 3, name="input")
        alone = x.dim() == 2
        steps, batch = (x.shape[0], 1) if alone else x.shape[:2][:: -1 if batch_first else 1]
        if steps == 0:
            raise ShapeError(f"{type(owner).__name__}: input must have at least one step, got {tuple(x.shape)}")
        return cls([batch] * steps, batch_first, alone, None)

    @property
    def batch(self) -> int:
        """How many sequences there are."""
        return self.sizes[0]

    @property
    def first(self) -> int:
        """The place of the first sequence among the rows of a step, which are sorted if they were packed."""
        order = None if self.packed is None else self.packed.unsorted_indices
        return 0 if order is None else int(order[0])

    def rows(self, x: Sequence) -> Tensor:
        """Sequences as (rows, features)."""
        if isinstance(x, PackedSequence):
            return x.data
        if not self.alone:
            x = (x.transpose(0, 1) if self.batch_first else x).reshape(len(self.sizes) * self.batch, x.shape[2])
        return x

    def sequences(self, rows: Tensor) -> Sequence:
        """The inverse of `rows`."""
        if self.packed is not None:
            return PackedSequence(rows, *self.packed[1:])
        if self.alone:
            return rows
        x = rows.reshape(len(self.sizes), self.batch, rows.shape[1])
        return x.transpose(0, 1) if self.batch_first else x

    def sorted(self, states: State) -> State:
        """States as (layers, batch, size), in the order of the rows."""
        if self.alone:
            return tuple(each.unsqueeze(1) for each in states)
        order = None if self.packed is None else self.packed.sorted_indices
        return states if order is None else tuple(each.index_select(1, order) for each in states)

    def unsorted(self, states: State) -> State:
        """The inverse of `sorted`."""
        if self.alone:
            return tuple(each.squeeze(1) for each in states)
        order = None if self.packed is None else self.packed.unsorted_indices
        return states if order is None else tuple(each.index_select(1, order) for each in states)

    def state_shape(self, count: int, size: int) -> tuple[int, ...]:
        """The shape of a state that is passed or returned."""
        return (count, size) if self.alone else (count, self.batch, size)

    def upstream(self, owner: Module, d_y: Sequence, size: int) -> Tensor:
        """The gradient of y as rows. Raises ShapeError unless it lies as y does."""
        if self.packed is None:
            leading = [len(self.sizes), self.batch][: 1 if self.alone else 2]
            require_upstream(owner, d_y, (*(leading[::-1] if self.batch_first else leading), size))
        elif not isinstance(d_y, PackedSequence):
            raise ShapeError(f"{type(owner).__name__}: d_y must be a PackedSequence, as y is, got {kind_of(d_y)}")
        else:
            require_upstream(owner, d_y.data, (sum(self.sizes), size), "data of d_y")
        return self.rows(d_y)


def _require_packed(owner: Module, x: PackedSequence) -> list[int]:
    """The sizes of a PackedSequence. Raises ShapeError for one that pack_padded_sequence would not make: kernels read
    and write beyond the states where the order of the sequences does not fit.
    """
    require_dimensions(owner, x.data, 2, name="data of input")
    sizes = _whole_numbers(x.batch_sizes)
    if not sizes or sum(sizes) != len(x.data) or min(sizes) < 1 or any(b > a for a, b in pairwise(sizes)):
        raise ShapeError(
            f"{type(owner).__name__}: batch_sizes of input must be whole numbers that do not increase and add up to "
            f"its {len(x.data)} rows, got {x.batch_sizes if sizes is None else sizes}; {_WAY_OUT}"
        )
    orders = x.sorted_indices, x.unsorted_indices
    if all(order is None for order in orders) or _are_inverse(*orders, sizes[0], x.data.device):
        return sizes
    raise ShapeError(
        f"{type(owner).__name__}: sorted_indices and unsorted_indices of input must give each of {sizes[0]} sequences "
        f"a place, each the inverse of the other, got {orders[0]} and {orders[1]}; {_WAY_OUT}"
    )


_WAY_OUT = "make it with torch.nn.utils.rnn.pack_padded_sequence"


def _whole_numbers(values: Any) -> list[int] | None:
    """The numbers of a tensor of whole numbers with one axis on the CPU; None for anything else."""
    if not isinstance(values, Tensor) or not values.is_cpu or values.dim() != 1 or values.dtype is not torch.int64:
        return None
    found: list[int] = values.tolist()
    return found


def _are_inverse(first: Any, second: Any, count: int, device: torch.device) -> bool:
    """Whether both are orders of so many, each the inverse of the other; of a GPU, by their shapes alone."""
    for order in (first, second):
        if not isinstance(order, Tensor) or order.shape != (count,) or order.dtype is not torch.int64:
            return False
        if order.device != device:
            return False
    if not first.is_cpu:
        return True
    order, places, all_of_them = first.tolist(), second.tolist(), list(range(count))
    return sorted(order) == all_of_them and [places[at] for at in order] == all_of_them
