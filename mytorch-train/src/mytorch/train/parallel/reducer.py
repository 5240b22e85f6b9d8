"""Adding up the gradients of several processes, in buckets that travel while the backward goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor, distributed

from mytorch.core import ArgumentError, Module, Optimizer, Parameter
from mytorch.train.accumulate import inverse
from mytorch.train.mean_loss import Weight
from mytorch.train.parallel.pieces import BYTES, FIRST_BYTES
from mytorch.train.parallel.processes import Processes
from mytorch.train.parallel.totals import PARTS, Totals, room_for

ALONE_BYTES = 4 * 2**20
"""From this size on, a gradient travels as it is."""
_HALF = (torch.float16, torch.bfloat16)


class Reducer:
    """Adds up the gradients of all processes.

    Small gradients are copied into buckets; a large one is a bucket of its own, and is not copied. A bucket starts to
    travel when all of its gradients are complete and the ones before it travel, so that they meet in the same order
    everywhere. The order is that in which the first process completed the gradients of its first step; before that,
    from the last parameter to the first. The last bucket has room for the totals of the step and travels when they are
    known, so that no message of their own follows it; a large gradient has no room, and none is on a GPU.

    buckets: what travels together, in its order.
    each_pass: whether gradients travel in each backward pass of a step, or in the last one alone.
    goes_on: whether a process that fails within a pass can let the others take it to its end.

    In each step: `begin`, `tell` with gradients that are complete, and `finish`, on every process, whatever happened.
    """

    each_pass: ClassVar = False
    goes_on: ClassVar = True

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self._parameters: list[Parameter] = []
        self._kinds: list[tuple[torch.dtype, torch.device]] = []
        self.buckets: list[_Bucket] = []
        self._of: dict[Parameter, _Bucket] = {}
        self._told: list[Parameter] = []
        self._travelling = 0
        self._settled = False

    def begin(self, optimizer: Optimizer, passes: int, rows: bool) -> list[Parameter]:  # noqa: ARG002
        """Make ready for a step of so many backward passes. Returns the parameters that it trains.

        rows: whether this process has rows in each of them.
        """
        trained = [p for group in optimizer.param_groups for p in group["params"] if p.trainable]
        kinds = [(p.value.dtype, p.value.device) for p in trained]
        if trained != self._parameters or kinds != self._kinds:
            self._parameters, self._kinds, self._settled = trained, kinds, False
            self.lay_out(trained[::-1])
        self._told, self._travelling = [], 0
        for bucket in self.buckets:
            bucket.missing = len(bucket.parameters)
        return trained

    @property
    def overlaps(self) -> bool:
        """Whether a bucket may travel before the backward has ended, and so must be told what is complete."""
        return len(self.buckets) > 1

    def tell(self, complete: Sequence[Parameter]) -> None:
        """Take in gradients to which nothing will be added; buckets that are full start to travel."""
        of_bucket: dict[_Bucket, list[Parameter]] = {}
        for parameter in complete:
            of_bucket.setdefault(self._of[parameter], []).append(parameter)
        for bucket, parameters in of_bucket.items():
            bucket.take(parameters)
        self._told += complete
        self.send_full()

    def send_full(self) -> None:
        """Let the buckets travel that are full, in their order, up to one with totals."""
        count = len(self.buckets) - (self._room is not None)
        while self._travelling < count and not self.buckets[self._travelling].missing:
            self._send()

    def gathering(self, net: Module) -> AbstractContextManager[None]:  # noqa: ARG002 - every process has all of them
        """Within this context, layers have the parameters that they compute with."""
        return nullcontext()

    def end_pass(self) -> None:
        """Between two backward passes of a step: nothing travels before the last one."""

    def release(self) -> None:
        """After the update: the memory of small gradients is used again in the next step, that of large ones freed."""
        for bucket in self.buckets:
            bucket.release()

    def finish(self, value: Tensor | float, weight: Weight, failed: bool, mean: bool) -> tuple[Tensor, Weight, bool]:
        """Leave the sums of all processes in the gradients; a process without one adds nothing.

        value, weight: sums over the rows of this process.  mean: whether gradients are divided by the weight.
        Returns those over all rows, and whether the step failed in one of the processes.
        """
        if not failed:
            self.tell([p for p in self._parameters if p.grad is not None])  # what no backward of this step completed
        total, weights, some_failed, held = self._exchange(value, weight, failed)
        if mean and self.buckets:
            torch._foreach_mul_([bucket.flat for bucket in self.buckets], inverse(weights, total.dtype))
        for parameter, has in zip(self._parameters, held, strict=True):
            parameter.grad = self._of[parameter].grad(parameter) if has else None
        self._settle()
        return total, weights, some_failed

    def _exchange(
        self, value: Tensor | float, weight: Weight, failed: bool
    ) -> tuple[Tensor, Weight, bool, list[bool]]:
        """Let travel what has not yet, with the totals, and wait until all buckets are there."""
        told, room = set(self._told), self._room
        have = [p in told for p in self._parameters]
        device = self._kinds[0][1] if self._kinds else torch.device("cpu")
        numbers = self.processes, value, weight, failed, have, device
        totals = None if room is None else Totals(*numbers, room)
        while self._travelling < len(self.buckets):
            self._send(told)
        totals = totals or Totals(*numbers)  # after the buckets, as everywhere
        for bucket in self.buckets:
            self.processes.wait(bucket.work)
        return totals.wait()

    def _room_for(self, dtype: torch.dtype) -> int:
        """So many numbers of a dtype are the totals of a step."""
        return room_for(len(self._parameters), self.processes.size, dtype)

    @property
    def _room(self) -> Tensor | None:
        """Where the totals of a step travel with the last bucket; None if they do by themselves."""
        return self.buckets[-1].room if self.buckets else None

    def _send(self, told: Collection[Parameter] | None = None) -> None:
        bucket = self.buckets[self._travelling]
        if told is not None:
            bucket.clear([p for p in bucket.parameters if p not in told])
        bucket.work = self.processes.add(bucket.flat)
        self._travelling += 1

    def _settle(self) -> None:
        """After the first step, take the order in which gradients were completed by the first process."""
        if self._settled:
            return
        self._settled = True
        places = {parameter: at for at, parameter in enumerate(self._parameters)}
        order = self.processes.from_first(lambda: [places[parameter] for parameter in self._told])
        seen = [self._parameters[at] for at in order]
        self.lay_out(seen + [p for p in self._parameters[::-1] if p not in set(seen)])

    def lay_out(self, order: Sequence[Parameter]) -> None:
        """Put parameters into buckets, each of one dtype and device."""
        groups: list[list[Parameter]] = []
        open_ones: list[Parameter] = []
        size = 0
        for parameter in order:
            if _travels_alone(parameter):
                groups.append([parameter])
                continue
            if open_ones and (
                bucket_kind(parameter) != bucket_kind(open_ones[0]) or size >= (BYTES if groups else FIRST_BYTES)
            ):
                groups.append(open_ones)
                open_ones, size = [], 0
            open_ones.append(parameter)
            size += _bytes(parameter)
        small = groups and open_ones and size < FIRST_BYTES // 8 and not _travels_alone(groups[-1][0])
        if small and bucket_kind(groups[-1][0]) == bucket_kind(open_ones[0]):
            groups[-1] = groups[-1] + open_ones  # alone they would take the time of a message
        elif open_ones:
            groups.append(open_ones)
        self.buckets = [_Bucket(group, self._room_for if group is groups[-1] else None) for group in groups]
        self._of = {parameter: bucket for bucket in self.buckets for parameter in bucket.parameters}


class _Bucket:
    """Gradients that travel together. Those in half precision are added up in float32.

    room_for: how many further numbers of a dtype travel with them, where there is room.
    flat: their numbers, one after the other, and then the room; of a large gradient, that itself or, in mixed
        precision, a copy in float32, from `take` to `release`.
    room: for further numbers; None if there is none.
    """

    work: distributed.Work

    def __init__(self, parameters: Sequence[Parameter], room_for: Callable[[torch.dtype], int] | None = None) -> None:
        self.parameters = parameters
        self.missing = len(parameters)
        self._kind = bucket_kind(parameters[0])  # within a step of mixed precision, values are in half precision
        self._flat: Tensor | None = None
        self._alone = _travels_alone(parameters[0])
        self._views: dict[Parameter, Tensor] = {}
        self._sizes = [p.value.numel() for p in parameters]
        self.room: Tensor | None = None
        if not self._alone:
            dtype, device = self._kind
            more = room_for(dtype) if room_for is not None and device.type == "cpu" and dtype in PARTS else 0
            self._hold(self._empty(more))
            self.room = self.flat[-more:] if more else None

    @property
    def flat(self) -> Tensor:
        assert self._flat is not None
        return self._flat

    def take(self, parameters: Sequence[Parameter]) -> None:
        """Take in gradients."""
        grads = [dense_gradient(p) for p in parameters]
        if self._alone:
            self._hold(grads[0].to(self._kind[0]).contiguous().view(-1))
        else:
            torch._foreach_copy_([self._views[p] for p in parameters], grads)
        self.missing -= len(parameters)

    def clear(self, parameters: Sequence[Parameter]) -> None:
        """Add nothing for parameters without a gradient."""
        if self._alone and parameters:
            self._hold(self._empty())
        for p in parameters:
            self._views[p].zero_()

    def grad(self, parameter: Parameter) -> Tensor:
        """What was added up, as a gradient."""
        view, dtype = self._views[parameter], parameter.value.dtype
        return view if view.dtype is dtype else view.to(dtype)

    def release(self) -> None:
        """Free what is not used again."""
        if self._alone:
            self._flat, self._views = None, {}

    def _empty(self, more: int = 0) -> Tensor:
        dtype, device = self._kind
        return torch.empty(sum(self._sizes) + more, dtype=dtype, device=device)

    def _hold(self, flat: Tensor) -> None:
        self._flat = flat
        parts = flat[: sum(self._sizes)].split(self._sizes)
        self._views = {p: part.view(p.value.shape) for p, part in zip(self.parameters, parts, strict=True)}


def dense_gradient(parameter: Parameter) -> Tensor:
    """The gradient of a parameter that has one. Raises ArgumentError for a sparse one."""
    grad = parameter.grad
    assert grad is not None
    if grad.layout is not torch.strided:
        raise ArgumentError(
            f"parallel: gradients must be dense, got one of {grad.layout}; build the layer with sparse=False"
        )
    return grad


def bucket_kind(parameter: Parameter) -> tuple[torch.dtype, torch.device]:
    """The dtype in which gradients are added up, and the device."""
    value = parameter.value
    return torch.float32 if value.dtype in _HALF else value.dtype, value.device


def _bytes(parameter: Parameter) -> int:
    """What a gradient takes in its bucket."""
    return parameter.value.numel() * bucket_kind(parameter)[0].itemsize


def _travels_alone(parameter: Parameter) -> bool:
    """Whether a gradient is large enough that a message of its own takes less time than a copy."""
    return parameter.value.dtype not in _HALF and _bytes(parameter) >= ALONE_BYTES
