"""Parameters that are whole only while a layer computes with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed

from mytorch.core import ArgumentError, Module, Parameter, tree
from mytorch.train.observe import Method, intercept
from mytorch.train.parallel.pieces import Bucket, flat_like, from_owners
from mytorch.train.parallel.processes import Processes

GATHER, REDUCE = "gather", "reduce"
Exchange = tuple[str, int, torch.dtype | None]
"""What processes do together within a pass: one of the two, with the number of a bucket and the dtype of values."""


class _Coming(NamedTuple):
    """A bucket that is being gathered."""

    flat: Tensor
    works: list[distributed.Work]


class Layers:
    """Gathers the parameters of a layer before its forward and again before its backward, and frees them after each.

    The next layer's parameters travel while a layer computes: which these are is known from the first pass on, since
    every pass exchanges the same in the same order, on all processes. By that order, a process without rows, or one
    that fails, takes part in what the others exchange.

    buckets: each of them is gathered at a time.
    cut: gives this process's piece of a tensor of a parameter's shape.
    known: what a pass exchanges; None before the first one has ended.
    """

    def __init__(
        self, processes: Processes, buckets: list[Bucket], cut: Callable[[Tensor, Parameter], Tensor]
    ) -> None:
        self.processes, self.buckets, self._cut = processes, buckets, cut
        self.known: list[Exchange] | None = None
        self._done: list[Exchange] = []
        self._number = {p: number for number, bucket in enumerate(buckets) for p in bucket.parameters}
        self._users = [0] * len(buckets)
        self._own: dict[Parameter, Tensor] = {}
        self._ahead: _Coming | None = None

    @contextmanager
    def gathering(self, net: Module) -> Iterator[None]:
        """Within this context, the layers of `net` have their parameters whole while they compute."""
        scopes = {id(module): numbers for module in net.modules() if (numbers := self._numbers_of(module))}

        def around(_path: str, module: Module, _name: str, method: Method) -> Method:
            @wraps(method)
            def whole(*args: Any, **options: Any) -> Any:
                with self._whole(scopes[id(module)]):
                    return method(*args, **options)

            return whole

        with intercept((("", module) for module in net.modules() if id(module) in scopes), around):
            yield

    def reduces(self, number: int) -> None:
        """Note that the gradients of a bucket are about to travel."""
        self._follow((REDUCE, number, None))

    def _follow(self, exchange: Exchange) -> None:
        """Note an exchange that is about to happen. Raises ArgumentError for another one than in earlier passes."""
        at = len(self._done)
        if self.known is not None and (at == len(self.known) or self.known[at] != exchange):
            raise ArgumentError(
                'shard: with "parameters", every step must use the same layers in the same order, got a layer out of '
                'turn; use shard = "gradients" for a model that leaves layers out'
            )
        self._done.append(exchange)

    def end_pass(self, reduce: Callable[[int], None]) -> None:
        """Take part in what is left of a pass, and learn from the first one what a pass exchanges.

        reduce: lets the gradients of a bucket travel, to which this process has nothing to add.
        """
        if self.known is None:
            self.known = self._agreed()
        while len(self._done) < len(self.known):
            what, number, dtype = self.known[len(self._done)]
            if what == REDUCE:
                reduce(number)
            else:
                assert dtype is not None
                self._gather(number, dtype)
        self._done = []

    def forget(self) -> None:
        """Learn anew what a pass exchanges."""
        self.known, self._done = None, []

    def _agreed(self) -> list[Exchange]:
        for rank, found in enumerate(self.processes.gather(self._done)):
            if found != self._done:
                raise ArgumentError(
                    'shard: with "parameters", every process must use the same layers in the same order, got another '
                    f'order on rank {rank}; use shard = "gradients"'
                )
        return self._done

    def _numbers_of(self, module: Module) -> list[int]:
        """The buckets that a module computes with: of its own parameters and, if it has some, of its last children's.

        So attention may read the weights of its output projection.
        """
        own = own_parameters(module)
        if own:
            leaves = [child for child in module.children() if not list(child.children())]
            own += [p for child in leaves for p in own_parameters(child)]
        return sorted({self._number[p] for p in own if p in self._number})

    @contextmanager
    def _whole(self, numbers: Iterable[int]) -> Iterator[None]:
        entered = []
        try:
            for number in numbers:
                if not self._users[number]:
                    self._give(number)
                self._users[number] += 1
                entered.append(number)
            yield
        finally:
            for number in entered:
                self._users[number] -= 1
                if not self._users[number]:
                    self._take_back(number)

    def _give(self, number: int) -> None:
        bucket = self.buckets[number]
        flat = self._gather(number, bucket.parameters[0].value.dtype)
        for p, view in bucket.views(flat).items():
            self._own[p], p.value = p.value, view

    def _take_back(self, number: int) -> None:
        for p in self.buckets[number].parameters:
            p.value = self._own.pop(p)

    def _gather(self, number: int, dtype: torch.dtype) -> Tensor:
        """The numbers of a bucket. The next one that will be asked for begins to travel."""
        self._follow((GATHER, number, dtype))
        coming, self._ahead = self._ahead or self._send(number, dtype), None
        following = ((n, kind) for _, n, kind in (self.known or [])[len(self._done) :] if kind is not None)
        if (later := next(following, None)) is not None:
            self._ahead = self._send(*later)
        for work in coming.works:
            self.processes.wait(work)
        return coming.flat

    def _send(self, number: int, dtype: torch.dtype) -> _Coming:
        bucket = self.buckets[number]
        flat = flat_like(bucket, dtype)
        for p, view in bucket.views(flat).items():
            self._cut(view, p).copy_(self._own.get(p, p.value))
        return _Coming(flat, from_owners(self.processes, bucket, flat))


def own_parameters(module: Module) -> list[Parameter]:
    """Those that a module holds itself, once."""
    return list(dict.fromkeys(p for _, p in tree.own(module, Parameter)))
