"""Which blocks of memory a value keeps alive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.utils.rnn import PackedSequence

from mytorch.core import Module
from mytorch.train.quantities.structure import leaves

_NONE = -1  # of what has no block of memory of its own, such as a sparse tensor


class Storages:
    """Gives every block of memory a number, which no other gets as long as this lives, and knows its size.

    aside: tensors that are alive anyway, such as parameters; their memory is not counted.
    """

    def __init__(self, aside: Iterable[Tensor] = ()) -> None:
        self.sizes: dict[int, int] = {_NONE: 0}
        self._known: dict[int, StorageWeakRef] = {}  # a weak reference keeps the number from being given again
        self._aside = {self._number(value) for value in aside}

    def of(self, value: Any) -> frozenset[int]:
        """The numbers of the blocks that a value keeps alive."""
        return frozenset(self._number(one) for one in held_by(value) if isinstance(one, Tensor)) - self._aside

    def _number(self, value: Tensor) -> int:
        if value.layout is not torch.strided:
            return _NONE
        storage = value.untyped_storage()
        reference = StorageWeakRef(storage)
        number = int(reference.cdata)
        if number not in self._known:
            self._known[number] = reference
            self.sizes[number] = storage.nbytes()
        return number


def held_by(value: Any) -> Iterator[Any]:
    """What a saved value holds: the leaves of tuples, lists, dicts and dataclasses; not what modules hold."""
    for leaf in leaves(value):
        if isinstance(leaf, PackedSequence):
            yield from (one for one in leaf if isinstance(one, Tensor))
        elif is_dataclass(leaf) and not isinstance(leaf, (type, Module)):
            for entry in fields(leaf):
                yield from held_by(getattr(leaf, entry.name))
        else:
            yield leaf


def span_of(value: Tensor) -> int:
    """How many numbers lie from its first in memory to its last; as many as it has if it is dense."""
    return 1 + sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))


def lies_apart(value: Tensor) -> bool:
    """Whether each of its numbers has a place of its own, unlike in one that is expanded."""
    reached = 0
    for stride, size in sorted(zip(value.stride(), value.shape, strict=True)):
        if size > 1 and stride <= reached:
            return False
        reached += (size - 1) * stride
    return True
