"""The values of a model of which each process keeps those of its own stage alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor, distributed

from mytorch.core import Buffer, Parameter
from mytorch.train.parallel.processes import Processes

Held = Parameter | Buffer
Begin = Callable[[Tensor, int], distributed.Work]
"""Begins to exchange a tensor with the process of a rank, or all with it."""


class Values:
    """Frees the values of the other stages while this one trains, and gathers them where the model is looked at.

    A value that is freed keeps its shape, dtype and device, but has the memory of one number. That is NaN, so that
    what reads it is seen to be wrong, and torch refuses to write into it.

    owners: the rank that has the value of each parameter and buffer of all stages, in the same order everywhere.
    own: those of this process's stage, which it always keeps.
    whole: whether every process has all values; all of them free and gather together.
    absent: what this process does not have now.
    """

    def __init__(self, processes: Processes, owners: Mapping[Held, int], own: Collection[Held]) -> None:
        self.processes = processes
        self.owners = {held: owner for held, owner in owners.items() if held.value.numel()}
        self._others = [held for held in self.owners if held not in own]
        self.whole = True
        self.absent: set[Held] = set()

    def free(self) -> None:
        """Keep those of this stage alone."""
        self.whole = False
        for held in self._others:
            held.value = _without_memory(held.value)
        self.absent = set(self._others)

    def gather(self) -> None:
        """Give every process all values; buffers are those of the first process of a stage."""
        if not self.whole:
            self._exchange([(held, owner, self.processes.send_from) for held, owner in self.owners.items()])
            self.whole = True

    def gather_in_first(self) -> None:
        """Give the first process all values, until it frees them; the others keep those of their stages."""
        away = [(held, owner) for held, owner in self.owners.items() if owner]
        if self.processes.first:
            self._exchange([(held, owner, self.processes.receive) for held, owner in away], by_two=True)
        else:
            own = [held for held, owner in away if owner == self.processes.rank]
            self._exchange([(held, 0, self.processes.send) for held in own], by_two=True)

    def lose(self) -> None:
        """Give what is absent its memory again; the numbers are NaN, since other processes had them."""
        for held in self.absent:
            held.value = _filled(_memory(held.value))
        self.whole, self.absent = True, set()

    def _exchange(self, asked: Sequence[tuple[Held, int, Begin]], by_two: bool = False) -> None:
        """Exchange values with the processes of these ranks, and keep those that were absent.

        One after the other: if a process is lost, those that are on their way would keep the others until the timeout.
        """
        for held, rank, begin in asked:
            value = _memory(held.value) if held in self.absent else held.value.contiguous()
            self.processes.wait(begin(value, rank), rank if by_two else None)
            if held in self.absent:
                held.value = value
                self.absent.discard(held)
            elif value is not held.value:
                held.value.copy_(value)


def _memory(value: Tensor) -> Tensor:
    """Memory for a value, which may be kept after inference mode ends."""
    with torch.inference_mode(False):
        return torch.empty(value.shape, dtype=value.dtype, device=value.device)


def _without_memory(value: Tensor) -> Tensor:
    """A tensor of the same shape that has one number."""
    with torch.inference_mode(False):
        return _filled(torch.empty((), dtype=value.dtype, device=value.device)).expand(value.shape)


def _filled(value: Tensor) -> Tensor:
    """NaN where the dtype has it, and 0 elsewhere."""
    return value.fill_(torch.nan) if value.is_floating_point() or value.is_complex() else value.zero_()
