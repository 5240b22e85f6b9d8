"""The stage of a pipeline that this process computes, and what it shares with other processes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, distributed

from mytorch.core import ArgumentError, Module, Optimizer, Parameter
from mytorch.train.clip_gradients import joint_norm
from mytorch.train.errors import NotFiniteError
from mytorch.train.parallel.pieces import on_processor
from mytorch.train.parallel.pipeline.cut import Stages, count_stages, cut
from mytorch.train.parallel.pipeline.link import Link
from mytorch.train.parallel.pipeline.values import Held, Values
from mytorch.train.parallel.processes import Processes
from mytorch.train.parallel.reducer import bucket_kind
from mytorch.train.state_left import leave, take_up


def place_of(processes: Processes, stages: Stages) -> tuple[int, int, int]:
    """The stage of this process, its replica, and how many replicas there are; both are counted from 0.

    Processes that follow each other are replicas of one stage: on several machines, the stages lie on different ones,
    since outputs are smaller than gradients.
    Raises ArgumentError if the processes cannot be shared out evenly.
    """
    count = count_stages(stages)
    if processes.size % count:
        raise ArgumentError(
            f"stages: the number of processes must be a multiple of the stages, {count}, got {processes.size}; start "
            f"{count * max(1, processes.size // count)} processes, or take another number of stages"
        )
    replicas = processes.size // count
    number, replica = divmod(processes.rank, replicas)
    return number, replica, replicas


class Stage:
    """The layers of one stage, its neighbours, and who else holds its parameters.

    part: its layers, as a module of their own.  counts: the layers of every stage.
    number, replica: which stage it is, and which of its replicas, each of which takes its rows of a batch.
    before, after: to the stages before and after it; None at the ends.
    values: those of all stages, of which this process has its own while it trains.

    It is also what this process keeps of the optimizer's state, as `Shards` are: that of its parameters.
    """

    level: ClassVar = None

    def __init__(self, processes: Processes, net: Module, loss: Module, stages: Stages) -> None:
        self.processes, self.net, self.loss = processes, net, loss
        self.number, self.replica, self.replicas = place_of(processes, stages)
        parts = cut(net, stages)
        self.part, self.count = parts[self.number], len(parts)
        self.layers: list[Module] = list(net)  # type: ignore[call-overload]
        self.counts = [len(part) for part in parts]  # type: ignore[arg-type]
        self.before: Link | None = None
        self.after: Link | None = None
        self._groups: dict[tuple[int, ...], distributed.ProcessGroup | None] | None = None
        self._collected: dict[str, Any] | None = None
        self.holders: dict[Held, tuple[int, ...]] = {}
        for number, part in enumerate(parts):
            modules = [part, loss] if number + 1 == self.count else [part]
            for held in dict.fromkeys(held for module in modules for _, held in module.named_state()):
                self.holders[held] = (*self.holders.get(held, ()), number)

        own = {held for held, holders in self.holders.items() if self.number in holders}
        self.values = Values(processes, {held: at[0] * self.replicas for held, at in self.holders.items()}, own)

    def fits(self, net: Module, loss: Module) -> bool:
        """Whether it is made of these, whose layers are still the same."""
        layers = list(net) if net is self.net else ()  # type: ignore[call-overload]
        same = len(layers) == len(self.layers) and all(a is b for a, b in zip(layers, self.layers, strict=True))
        return same and loss is self.loss

    def connect(self, device: torch.device) -> None:
        """Meet the processes of the stages before and after it, and those that hold the same parameters."""
        if self._groups is not None:
            return
        rank, size = self.processes.rank, self.processes.size
        if self.number:
            self.before = Link(self.processes, rank - self.replicas, device)
        if self.number + 1 < self.count:
            self.after = Link(self.processes, rank + self.replicas, device)
        shared = sorted({*self.holders.values()}, key=lambda holders: (len(holders), holders))
        ranks = {holders: [r for s in holders for r in self._ranks(s)] for holders in shared}
        self._groups = {
            holders: None if len(members) == size else self.processes.group(members)
            for holders, members in ranks.items()
            if len(members) > 1
        }

    def add_up(self, parameters: Iterable[Parameter]) -> None:
        """Add the gradients up over the replicas, and those of shared parameters over all stages that hold them."""
        assert self._groups is not None
        of_holders: dict[tuple[int, ...], list[Parameter]] = {}
        for parameter in parameters:
            of_holders.setdefault(self.holders.get(parameter, ()), []).append(parameter)
        for holders, group in self._groups.items():
            if self.number in holders and holders in of_holders:
                _add_up(self.processes, of_holders[holders], group)

    def norm(self, _grads: list[Tensor]) -> Tensor:
        """The 2-norm of all gradients of all stages, which every process calls."""
        own = (p for p in self.holders if isinstance(p, Parameter) and self._owner(p) == self.processes.rank)
        counted = [p.grad for p in own if p.trainable and p.grad is not None]
        square = joint_norm(counted).double().square().cpu() if counted else torch.zeros((), dtype=torch.float64)
        self.processes.wait(self.processes.add(square))
        return square.sqrt()

    def state_of(self, optimizer: Optimizer) -> dict[str, Any]:
        """The state of an optimizer: that of all stages, within `collect` and `release`; of this one outside."""
        return optimizer.state_dict() if self._collected is None else self._collected

    def collect(self, optimizer: Optimizer) -> None:
        """Give the first process, until `release`, what the others keep for their parameters."""
        state, rank = optimizer.state_dict(), self.processes.rank
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        own = {
            place: {name: on_processor(value) for name, value in held.items()}
            for place, held in state["state"].items()
            if self._owner(parameters[place]) in (rank, None)
        }
        found = self.processes.gather_to_first(own)
        joined = {place: held for of_process in reversed(found) for place, held in of_process.items()}
        self._collected = {**state, "state": dict(sorted(joined.items()))} if self.processes.first else None

    def release(self) -> None:
        """Forget what was collected."""
        self._collected = None

    @contextmanager
    def storing(self, _net: Module, _loss: Module, optimizer: Optimizer) -> Iterator[None]:
        """Within this context, this process has the values and the optimizer's state of its stage alone.

        The optimizer keeps that state afterwards, too. The net has all values again. Of what other processes had when
        one of them was lost, the numbers are NaN.
        Raises ArgumentError, on all processes, where it has the state of a part that is not that of this stage.
        """
        take_up(optimizer, self.counts, self.processes.gather)
        for parameter, holders in self.holders.items():
            if self.number not in holders and isinstance(parameter, Parameter):
                optimizer.state.pop(parameter, None)
        try:
            self.values.free()
            yield
            self.values.gather()
        except BaseException as error:
            try:
                if isinstance(error, NotFiniteError) or error is self.processes.joint:
                    self.values.gather()
            finally:
                self.values.lose()
            raise
        finally:
            leave(optimizer, self.counts)

    @property
    def absent(self) -> Collection[Held]:
        """What this process has no values of now, since other stages have them."""
        return self.values.absent

    @contextmanager
    def in_whole(self) -> Iterator[None]:
        """Within this context, which all processes enter, each has all values, as callbacks and evaluations need."""
        if self.values.whole:
            yield
            return
        self.values.gather()
        yield
        self.values.free()  # not after an error, which ends the training

    @contextmanager
    def in_first(self) -> Iterator[None]:
        """Within this context, which all processes enter, the first one has all values, as a checkpoint needs."""
        if self.values.whole:
            yield
            return
        self.values.gather_in_first()
        yield
        self.values.free()

    def in_place(self) -> AbstractContextManager[None]:
        """Within this context, parameters have the shapes that the optimizer's state has: they always do."""
        return nullcontext()

    def _ranks(self, stage: int) -> range:
        return range(stage * self.replicas, (stage + 1) * self.replicas)

    def _owner(self, held: Held) -> int | None:
        """The rank of the first process that holds it; None for what belongs to no stage."""
        holders = self.holders.get(held)
        return None if holders is None else holders[0] * self.replicas


def _add_up(processes: Processes, parameters: Sequence[Parameter], group: distributed.ProcessGroup | None) -> None:
    """Leave the sum over the processes of a group in the gradients; a process without one adds nothing."""
    have = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32)
    processes.wait(processes.add(have, group))
    added = [p for p, count in zip(parameters, have.tolist(), strict=True) if count]
    for dtype, device in dict.fromkeys(map(bucket_kind, added)):
        alike = [p for p in added if bucket_kind(p) == (dtype, device)]
        flat = torch.cat([_flat(p, dtype) for p in alike])
        processes.wait(processes.add(flat, group))
        for p, part in zip(alike, flat.split([p.value.numel() for p in alike]), strict=True):
            p.grad = part.view(p.value.shape).to(p.value.dtype)


def _flat(parameter: Parameter, dtype: torch.dtype) -> Tensor:
    if parameter.grad is None:
        return torch.zeros(parameter.value.numel(), dtype=dtype, device=parameter.value.device)
    return parameter.grad.reshape(-1).to(dtype)
