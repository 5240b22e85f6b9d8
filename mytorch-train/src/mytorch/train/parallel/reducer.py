"""Adding up the gradients of several processes, in buckets that travel while the backward goes on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor, distributed

from mytorch.core import ArgumentError, Module, Optimizer, Parameter
from mytorch.train.mean_loss import Weight
from mytorch.train.parallel.pieces import BYTES, FIRST_BYTES
from mytorch.train.parallel.processes import Processes
from mytorch.train.parallel.totals import Totals

_HALF = (torch.float16, torch.bfloat16)


class Reducer:
    """Adds up the gradients of all processes.

    Gradients are copied into buckets. A bucket starts to travel when all of its gradients are complete and the ones
    before it travel, so that they meet in the same order everywhere. The order is that in which the first process
    completed the gradients of its first step; before that, from the last parameter to the first.

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
        self._buckets: list[_Bucket] = []
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
            self._lay_out(trained[::-1])
        self._told, self._travelling = [], 0
        for bucket in self._buckets:
            bucket.missing = len(bucket.views)
        return trained

    def tell(self, complete: Sequence[Parameter]) -> None:
        """Take in gradients to which nothing will be added; buckets that are full start to travel."""
        for parameter in complete:
            bucket = self._of[parameter]
            bucket.views[parameter].copy_(dense_gradient(parameter))
            bucket.missing -= 1
            self._told.append(parameter)
        while self._travelling < len(self._buckets) and not self._buckets[self._travelling].missing:
            self._send()

    def gathering(self, net: Module) -> AbstractContextManager[None]:  # noqa: ARG002 - every process has all of them
        """Within this context, layers have the parameters that they compute with."""
        return nullcontext()

    def end_pass(self) -> None:
        """Between two backward passes of a step: nothing travels before the last one."""

    def release(self) -> None:
        """After the update: the memory of gradients is used again in the next step."""

    def finish(self, value: Tensor | float, weight: Weight, failed: bool) -> tuple[Tensor, Tensor, bool]:
        """Leave the sums of all processes in the gradients; a process without one adds nothing.

        value, weight: sums over the rows of this process.
        Returns those over all rows, and whether the step failed in one of the processes.
        """
        if not failed:
            self.tell([p for p in self._parameters if p.grad is not None])  # what no backward of this step completed
        told = set(self._told)
        while self._travelling < len(self._buckets):
            self._send(told)
        device = self._kinds[0][1] if self._kinds else torch.device("cpu")
        have = [p in told for p in self._parameters]
        totals = Totals(self.processes, value, weight, failed, have, device)  # after the buckets, as everywhere
        total, weights, some_failed, held = totals.wait()
        for bucket in self._buckets:
            self.processes.wait(bucket.work)
        for parameter, has in zip(self._parameters, held, strict=True):
            view = self._of[parameter].views[parameter]
            parameter.grad = view.to(parameter.value.dtype) if has else None
        self._settle()
        return total, weights, some_failed

    def _send(self, told: set[Parameter] | None = None) -> None:
        bucket = self._buckets[self._travelling]
        for parameter, view in bucket.views.items() if told is not None else ():
            if told is not None and parameter not in told:
                view.zero_()
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
        self._lay_out(seen + [p for p in self._parameters[::-1] if p not in set(seen)])

    def _lay_out(self, order: Sequence[Parameter]) -> None:
        """Put parameters into buckets, each of one dtype and device."""
        groups: list[list[Parameter]] = []
        kind, size = None, 0
        for parameter in order:
            own = bucket_kind(parameter)
            room = FIRST_BYTES if len(groups) == 1 else BYTES
            if own != kind or size >= room:
                groups.append([])
                kind, size = own, 0
            groups[-1].append(parameter)
            size += parameter.value.numel() * own[0].itemsize
        self._buckets = [_Bucket(group) for group in groups]
        self._of = {parameter: bucket for bucket in self._buckets for parameter in bucket.views}


class _Bucket:
    """Gradients that travel together. Those in half precision are added up in float32."""

    work: distributed.Work

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        dtype, device = bucket_kind(parameters[0])
        sizes = [parameter.value.numel() for parameter in parameters]
        self.flat = torch.zeros(sum(sizes), dtype=dtype, device=device)
        parts = self.flat.split(sizes)
        self.views = {p: part.view(p.value.shape) for p, part in zip(parameters, parts, strict=True)}
        self.missing = len(self.views)


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
