"""How parameters are divided among processes, of which each keeps a piece of every one, or some of them whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, distributed

from mytorch.core import Parameter
from mytorch.train.parallel.processes import Processes

FIRST_BYTES, BYTES = 2**20, 25 * 2**20
"""The size of the first bucket, which travels early, and of the others: those of PyTorch's DistributedDataParallel."""


class Bucket:
    """Parameters that travel together, one after another in one flat tensor, of which each process keeps a section.

    owners: the process that keeps a parameter; without them, each keeps an equal section of the numbers.
    bounds: where the sections begin and end: process r keeps flat[bounds[r]:bounds[r + 1]].
    """

    def __init__(
        self, parameters: Sequence[Parameter], processes: int, owners: Mapping[Parameter, int] | None
    ) -> None:
        self.owners = owners
        self.parameters = sorted(parameters, key=owners.__getitem__) if owners is not None else list(parameters)
        self.sizes = [p.value.numel() for p in self.parameters]
        self.starts: dict[Parameter, int] = {}
        self.numel = 0
        for p, size in zip(self.parameters, self.sizes, strict=True):
            self.starts[p] = self.numel
            self.numel += size
        self.bounds = [self._bound(rank, processes) for rank in range(processes + 1)]
        self.shapes = [p.value.shape for p in self.parameters]

    def _bound(self, rank: int, processes: int) -> int:
        if self.owners is None:
            return min(self.numel, rank * -(-self.numel // processes))
        return next((self.starts[p] for p in self.parameters if self.owners[p] >= rank), self.numel)

    def piece(self, parameter: Parameter, rank: int) -> tuple[int, int]:
        """Which of a parameter's numbers, in their order in memory, a process keeps: from, to; (0, 0) if none."""
        start = self.starts[parameter]
        size = self.sizes[self.parameters.index(parameter)]
        first, last = max(self.bounds[rank] - start, 0), min(self.bounds[rank + 1] - start, size)
        return (first, last) if first < last else (0, 0)

    def views(self, flat: Tensor) -> dict[Parameter, Tensor]:
        """The parameters' parts of such a flat tensor, in their shapes."""
        parts = flat.split(self.sizes)
        return {p: part.view(shape) for p, part, shape in zip(self.parameters, parts, self.shapes, strict=True)}

    def section(self, flat: Tensor, rank: int) -> Tensor:
        """What a process keeps of such a flat tensor."""
        return flat[self.bounds[rank] : self.bounds[rank + 1]]


def add_to_owners(processes: Processes, bucket: Bucket, flat: Tensor) -> list[distributed.Work]:
    """Begin to add up a flat tensor over all processes; each will have the sums of its section, and noise elsewhere.

    One reduction to each owner: gloo is faster at these than at a reduce-scatter, and sections may differ in size.
    """
    sections = [(rank, bucket.section(flat, rank)) for rank in range(processes.size)]
    return [processes.add_to(section, rank) for rank, section in sections if len(section)]


def from_owners(processes: Processes, bucket: Bucket, flat: Tensor) -> list[distributed.Work]:
    """Begin to fill a flat tensor, of which this process has its own section, with the sections of the others."""
    sections = [(rank, bucket.section(flat, rank)) for rank in range(processes.size)]
    return [processes.send_from(section, rank) for rank, section in sections if len(section)]


def grouped(parameters: Sequence[Parameter], processes: int, owners: Mapping[Parameter, int] | None) -> list[Bucket]:
    """Buckets of parameters, in their order, each of one dtype and device."""
    groups: list[list[Parameter]] = []
    kind, size = None, 0
    for p in parameters:
        own = (p.value.dtype, p.value.device)
        if own != kind or size >= BYTES:
            groups.append([])
            kind, size = own, 0
        groups[-1].append(p)
        size += p.value.numel() * p.value.element_size()
    return [Bucket(group, processes, owners) for group in groups]


def shared_out(parameters: Sequence[Parameter], processes: int) -> dict[Parameter, int]:
    """A process for each parameter: the largest goes first, to the process that has least."""
    loads = [0] * processes
    owners = {}
    for p in sorted(parameters, key=lambda p: -p.value.numel()):
        owners[p] = loads.index(min(loads))
        loads[owners[p]] += p.value.numel()
    return owners


def cut(tensor: Tensor, piece: tuple[int, int], whole: bool) -> Tensor:
    """A piece of a contiguous tensor of a parameter's shape; it keeps its shape if parameters are kept whole."""
    first, last = piece
    return tensor if whole and last == tensor.numel() > 0 else tensor.view(-1)[first:last]


def flat_like(bucket: Bucket, dtype: torch.dtype) -> Tensor:
    """Memory for the numbers of a bucket."""
    return torch.empty(bucket.numel, dtype=dtype, device=bucket.parameters[0].value.device)


def on_processor(held: Any) -> Any:
    """An entry of an optimizer's state as it travels to the process that writes it."""
    return held.detach().cpu() if isinstance(held, Tensor) else held
