"""Adding up gradients where each process needs the sums of its pieces alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, distributed

from mytorch.core import Module, Optimizer, Parameter
from mytorch.train.accumulate import inverse
from mytorch.train.mean_loss import Weight
from mytorch.train.parallel.layers import Layers
from mytorch.train.parallel.pieces import Bucket, add_to_owners, flat_like
from mytorch.train.parallel.reducer import bucket_kind, dense_gradient
from mytorch.train.parallel.shards import Shards
from mytorch.train.parallel.totals import Totals
from mytorch.train.parallel.updates import Flags, Update, Updates

IN_FLIGHT = 2
"""So many buckets travel at a time, where their memory is freed when they have come."""


class ShardedReducer:
    """Adds up the gradients of all processes, each of which is left with those of its pieces.

    It is used as `Reducer` is. Where gradients are divided, too, a bucket has memory from its first gradient until it
    has travelled; then this process's section of it is kept, and what several backward passes of a step bring is added
    up there. Otherwise gradients travel once a step.

    update: where gradients are divided, too, and are not needed all at once: updates some parameters. It is called
        within the last backward of a step, for each bucket as soon as it has travelled, and its gradients are freed.
    """

    def __init__(self, shards: Shards, update: Update | None = None) -> None:
        self.shards, self.processes = shards, shards.processes
        self.updates = None if update is None else Updates(shards, update)
        self.overlaps, self.each_pass = True, shards.level != "optimizer"
        self._buckets: list[_Travelling] = []
        self._of: dict[Parameter, _Travelling] = {}
        self._laid_out: list[Bucket] = []
        self._trained: list[Parameter] = []
        self._told: dict[Parameter, None] = {}
        self._waiting: list[int] = []
        self._sent: list[_Travelling] = []
        self._passes = 0
        self._last = False
        self._layers: Layers | None = None
        self._settled = False

    def begin(self, optimizer: Optimizer, passes: int, rows: bool) -> list[Parameter]:
        """Make ready for a step of so many backward passes. Returns the parameters that it trains.

        rows: whether this process has rows in each of them.
        """
        held = [p for group in optimizer.param_groups for p in group["params"]]
        self.shards.require_same(held)
        if self._laid_out is not self.shards.buckets:
            self._laid_out, self._settled = self.shards.buckets, False
            self._buckets = [_Travelling(bucket, self.shards) for bucket in self._laid_out]
            self._of = {p: each for each in self._buckets for p in each.bucket.parameters}
        trained = [p for p in held if p.trainable]
        layers = self.shards.layers
        if layers is not None and trained != self._trained:
            layers.forget()
        self._trained, self._told, self._passes = trained, {}, passes
        self._layers = layers
        if layers is not None and layers.known is None and not all(self.processes.gather(rows)):
            self.shards.regain()  # for this step: a process without rows does not know yet what the others exchange
            self._layers = None
        if self.updates is not None:
            self.updates.begin(optimizer)
        self._begin_pass()
        return trained

    @property
    def goes_on(self) -> bool:
        """Whether a process that fails within a pass can let the others take it to its end."""
        return self._layers is None or self._layers.known is not None

    def gathering(self, net: Module) -> AbstractContextManager[None]:
        """Within this context, layers have the parameters that they compute with."""
        return nullcontext() if self._layers is None else self._layers.gathering(net)

    def tell(self, complete: Sequence[Parameter]) -> None:
        """Take in gradients to which this pass adds nothing more; buckets that are full start to travel.

        They do so in an order that all processes know: one after another or, where layers are gathered, as each is
        full, since every process comes to that at the same place.
        """
        for p in complete:
            self._of[p].take(p)
            self._told[p] = None
        if self._layers is None:
            while self._waiting and not self._buckets[self._waiting[0]].missing:
                self._send(self._waiting[0])
            self._take_arrived()
            return
        for each in dict.fromkeys(self._of[p] for p in complete):
            if not each.missing:
                self._send(self._buckets.index(each))

    def end_pass(self) -> None:
        """Between two backward passes of a step: let what is left travel, where it does after each."""
        self._passes -= 1
        if self.each_pass:
            self._end_pass()
            self._begin_pass()

    def finish(self, value: Tensor | float, weight: Weight, failed: bool, mean: bool) -> tuple[Tensor, Weight, bool]:
        """Leave the sums of this process's pieces in the gradients, which have the pieces' shapes.

        value, weight: sums over the rows of this process.  mean: whether gradients are divided by the weight.
        Returns those over all rows, and whether the step failed in one of the processes.
        """
        while self._passes > 1:  # this process failed before the last
            self.end_pass()
        if self.updates is not None:
            self.updates.failed = failed
            if mean:
                self.updates.weigh(weight)  # where no backward did
        if not failed:
            self.tell([p for p in self._trained if p.grad is not None])  # what no backward of this step completed
        self._end_pass()
        if self.shards.layers is not None and self._layers is None:
            self.shards.let_go()
        device = self._trained[0].value.device if self._trained else torch.device("cpu")
        have = [p in self._told for p in self._trained]
        total, weights, some_failed, held = Totals(self.processes, value, weight, failed, have, device).wait()
        for each in self._buckets:
            self._take(each)
        if mean and (arrived := [each.sums for each in self._buckets if each.sums is not None]):
            torch._foreach_mul_(arrived, inverse(weights, total.dtype))
        for p, has in zip(self._trained, held, strict=True):
            p.grad = self._of[p].grad(p) if has else None
        self._settle()
        return total, weights, some_failed

    def release(self) -> None:
        """Free the memory of gradients that were used."""
        for each in self._buckets:
            each.sums = None

    def _begin_pass(self) -> None:
        trained = set(self._trained)
        for each in self._buckets:
            each.begin(trained)
        self._waiting = [number for number, each in enumerate(self._buckets) if each.missing]
        self._sent, self._last = [], self._passes == 1

    def _end_pass(self) -> None:
        """Let the gradients travel that no backward completed."""
        if self._layers is not None:
            if self._layers.known is None:
                while self._waiting:
                    self._send(self._waiting[0])
            self._layers.end_pass(self._send)
        while self._waiting:
            self._send(self._waiting[0])

    def _send(self, number: int) -> None:
        if self._layers is not None:
            self._layers.reduces(number)
        self._waiting.remove(number)
        each = self._buckets[number]
        self._sent.append(each)
        each.send()
        if self.updates is not None and self._last:
            each.flags = self.updates.send(each.bucket.parameters, self._told)
        if self.each_pass and len(self._sent) > IN_FLIGHT:
            self._take(self._sent[-1 - IN_FLIGHT])

    def _take_arrived(self) -> None:
        """Update by the gradients that have come, in the order in which they were sent."""
        for each in self._sent if self.updates is not None and self._last else ():
            if not each.has_arrived:
                break
            self._take(each)

    def _take(self, each: _Travelling) -> None:
        """Wait for the sums of a bucket and, where parameters are updated within the backward, do it."""
        each.arrive()
        if each.flags is not None:
            flags, each.flags = each.flags, None
            assert self.updates is not None
            assert each.sums is not None
            self.updates.take(flags, each.sums, each.grad)
            each.sums = None

    def _settle(self) -> None:
        """After the first step, let buckets travel in the order in which the first process filled them."""
        if self._settled or self.shards.layers is not None:
            return
        self._settled = True
        places = {p: place for place, each in enumerate(self._buckets) for p in each.bucket.parameters}
        order = self.processes.from_first(lambda: [places[p] for p in self._told])
        last = {place: number for number, place in enumerate(order)}
        self._buckets.sort(key=lambda each: last.get(places[each.bucket.parameters[0]], len(order)))


class _Travelling:
    """The gradients of a bucket on their way. Those in half precision are added up in float32.

    sums: this process's section, with the sums of the passes so far.
    flags: what travels with it where its parameters are updated as soon as it has come.
    """

    def __init__(self, bucket: Bucket, shards: Shards) -> None:
        self.bucket, self.shards = bucket, shards
        self.missing = 0
        self.sums: Tensor | None = None
        self.flags: Flags | None = None
        self._flat: Tensor | None = None
        self._views: dict[Parameter, Tensor] = {}
        self._empty: set[Parameter] = set()
        self._works: list[distributed.Work] | None = None

    def begin(self, trained: set[Parameter]) -> None:
        """Make ready for a pass."""
        self._empty = set(self.bucket.parameters)
        self.missing = len(self._empty & trained)

    def take(self, parameter: Parameter) -> None:
        """Take in a gradient."""
        self._allocate()
        self._views[parameter].copy_(dense_gradient(parameter))
        self._empty.discard(parameter)
        self.missing -= 1

    def send(self) -> None:
        """Begin to add it up; what no gradient came for adds nothing."""
        flat = self._allocate()
        for p in self._empty:
            self._views[p].zero_()
        self._works = add_to_owners(self.shards.processes, self.bucket, flat)

    @property
    def has_arrived(self) -> bool:
        """Whether `arrive` would not wait, nor what travels with the bucket."""
        works = [*(self._works or ()), *(() if self.flags is None else (self.flags.work,))]
        return all(work.is_completed() for work in works)

    def arrive(self) -> None:
        """Wait for the sums and add them to those of earlier passes."""
        if self._works is None:
            return
        for work in self._works:
            self.shards.processes.wait(work)
        self._works = None
        assert self._flat is not None
        own = self.bucket.section(self._flat, self.shards.processes.rank)
        if self.shards.level == "optimizer":
            self.sums = own  # its memory is used again in the next step
            return
        if self.sums is None:
            self.sums = own if self.flags is not None else own.clone()  # which is used and freed, or kept
        else:
            self.sums.add_(own)
        self._flat, self._views = None, {}

    def grad(self, parameter: Parameter) -> Tensor | None:
        """The gradient of this process's piece; None if it has none."""
        first, last = self.shards.pieces[parameter]
        if first == last or self.sums is None:
            return None
        start = self.bucket.starts[parameter] + first - self.bucket.bounds[self.shards.processes.rank]
        piece = self.sums[start : start + last - first]
        if self.shards.whole:
            piece = piece.view(parameter.value.shape)
        return piece.to(parameter.value.dtype)

    def _allocate(self) -> Tensor:
        self.arrive()  # an earlier pass may still be on its way
        if self._flat is None:
            self._flat = flat_like(self.bucket, bucket_kind(self.bucket.parameters[0])[0])
            self._views = self.bucket.views(self._flat)
        return self._flat
