"""What every layer of a model saves for the backward pass, and how long its forward takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch

from mytorch.core import Module, RandomState, random_state, require_pair
from mytorch.train.gradients import forward
from mytorch.train.memory.buffers import other_buffers
from mytorch.train.memory.storages import Storages, held_by
from mytorch.train.observe import Method, intercept
from mytorch.train.quantities.structure import tensors

TIMED = 3
"""Forwards whose times are taken, of which the fastest counts for each layer."""


@dataclass(frozen=True)
class Layer:
    """A layer as it was measured.

    path, module: as in `named_modules`.
    saved: the numbers of the blocks of memory that it saves; inputs: the numbers of those that its inputs keep alive.
    buffers: bytes of its buffers, of which a copy is kept if it is computed again.
    seconds: the time of its forward.
    linked: whether its input is the output of the layer before it, so that the two can be computed again together.
    fixed: whether it cannot be computed again, because the model calls it several times.
    """

    path: str
    module: Module
    saved: frozenset[int]
    inputs: frozenset[int]
    buffers: int = 0
    seconds: float = 0.0
    linked: bool = True
    fixed: bool = False


@dataclass(frozen=True)
class Measured:
    """The layers of a model in the order in which a forward calls them.

    sizes: the bytes of every block of memory, by its number.
    always: the blocks that the model itself saves, whatever its layers do.
    """

    layers: tuple[Layer, ...]
    sizes: Mapping[int, int]
    always: frozenset[int] = frozenset()

    def bytes(self, blocks: frozenset[int]) -> int:
        """What some blocks of memory take."""
        return sum(self.sizes[block] for block in blocks)


def measure(net: Module, inputs: Any) -> Measured:
    """What the layers of a model save of a batch; the model and the random state are as they were before.

    inputs: of a batch, as a step has them. The layers are those of a Sequential, with nested ones flattened; of any
        other model, the modules that its forward calls. A layer is looked at as a whole, whatever it holds.
    Parameters, buffers and the batch are alive anyway and do not count. It takes three forwards, which keep nothing.
    """
    storages = Storages([*(held.value for _, held in net.named_state()), *tensors(inputs)])
    watch = _Watch(net, storages)
    _forward(net, inputs, list(net.named_modules()), watch.around)
    found, always = list(_layers(watch.top)), watch.top.own if watch.top.inner else frozenset()
    counts = Counter(id(call.module) for call in _all(watch.top))
    seconds = _times(net, inputs, [(call.path, call.module) for call, _ in found])
    layers = tuple(
        Layer(
            call.path,
            call.module,
            call.saved,
            call.inputs,
            sum(buffer.value.nbytes for _, buffer in call.module.named_buffer()),
            seconds[id(call.module)],
            linked,
            counts[id(call.module)] > 1,
        )
        for call, linked in found
    )
    return Measured(layers, dict(storages.sizes), always)


class _Call:
    """A forward that was watched; it stands for what the forward saved, in the saved value of the call around it.

    inputs: the blocks of memory of all inputs; own, saved: of what it saves itself, and with the calls inside.
    first, last, random: its first input, and output and random state of the last call inside, as long as it runs.
    begins, linked: whether its input is that of the call around it, or the output of the call before.
    passes_on: whether its output is that of the last call inside.
    inner, kept: the calls inside, and those that its saved value holds.
    """

    def __init__(self, path: str, module: Module, inputs: frozenset[int], first: Any) -> None:
        self.path, self.module, self.inputs, self.first = path, module, inputs, first
        self.begins = self.linked = self.passes_on = False
        self.last: Any = None
        self.random: RandomState | None = None
        self.inner: list[_Call] = []
        self.kept: tuple[_Call, ...] = ()
        self.own = self.saved = frozenset[int]()

    @property
    def is_chain(self) -> bool:
        """Whether it does nothing but call its layers one after the other, and saves what these save."""
        if not self.inner or self.own or set(self.kept) != set(self.inner) or not self.passes_on:
            return False
        return self.inner[0].begins and all(call.linked for call in self.inner[1:])


class _Watch:
    """Writes down the forwards of all modules and drops what they save."""

    top: _Call

    def __init__(self, net: Module, storages: Storages) -> None:
        self.storages, self.random = storages, random_state(net)
        self.open: list[_Call] = []

    def around(self, path: str, module: Module, name: str, method: Method) -> Method:
        """What stands for the forward of a module."""

        def watched(*inputs: Any, **options: Any) -> Any:
            call = self._begin(path, module, inputs, options)
            pair = method(*inputs, **options)
            require_pair(module, pair)
            self._end(call, *pair)
            return pair[0], call

        return watched if name == "forward" else method

    def _begin(self, path: str, module: Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> _Call:
        first = inputs[0] if inputs else None
        call = _Call(path, module, self.storages.of((inputs, options)), first)
        if self.open:
            around = self.open[-1]
            undrawn = around.random is None or not around.random.drawn()
            call.begins = not around.inner and first is around.first
            call.linked = bool(around.inner) and first is around.last and undrawn
        self.open.append(call)
        return call

    def _end(self, call: _Call, output: Any, saved: Any) -> None:
        held = list(held_by(saved))
        call.kept = tuple(one for one in held if isinstance(one, _Call))
        call.own = self.storages.of([one for one in held if not isinstance(one, _Call)])
        call.saved = call.own.union(*(one.saved for one in call.kept))
        call.passes_on = output is call.last
        call.first = call.last = call.random = None  # which would keep activations
        self.open.pop()
        if self.open:
            around = self.open[-1]
            around.inner.append(call)
            around.last, around.random = output, self.random.again()
        else:
            self.top = call


def _layers(top: _Call) -> Iterator[tuple[_Call, bool]]:
    """The calls that are looked at one by one, each with whether it is linked to the one before."""
    if not top.inner:
        yield top, False
    elif top.is_chain:
        yield from _flattened(top, False)
    else:
        before = None
        for call in top.inner:
            if call in top.kept:
                yield from _flattened(call, call.linked and before in top.kept)
            before = call


def _flattened(call: _Call, linked: bool) -> Iterator[tuple[_Call, bool]]:
    if not call.is_chain:
        yield call, linked
        return
    for number, inner in enumerate(call.inner):
        yield from _flattened(inner, linked if number == 0 else inner.linked)


def _all(call: _Call) -> Iterator[_Call]:
    yield call
    for inner in call.inner:
        yield from _all(inner)


def _times(net: Module, inputs: Any, layers: Sequence[tuple[str, Module]]) -> dict[int, float]:
    """The seconds that the forward of each of these modules takes."""
    seconds: dict[int, float] = {}

    def around(_path: str, module: Module, name: str, method: Method) -> Method:
        def timed(*given: Any, **options: Any) -> Any:
            began = _now()
            output, _ = method(*given, **options)
            passed = _now() - began
            seconds[id(module)] = min(passed, seconds.get(id(module), passed))
            return output, None

        return timed if name == "forward" else method

    different = {id(module): (path, module) for path, module in layers}
    for _ in range(TIMED):
        _forward(net, inputs, list(different.values()), around)
    return seconds


def _now() -> float:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return perf_counter()


def _forward(net: Module, inputs: Any, watched: Sequence[tuple[str, Module]], around: Any) -> None:
    with torch.inference_mode(), _as_it_was(net), intercept(watched, around):
        forward(net, inputs)


@contextmanager
def _as_it_was(net: Module) -> Iterator[None]:
    """Within this context buffers and random numbers may change; after it, they are as they were."""
    with random_state(net), other_buffers([buffer for _, buffer in net.named_buffer()]):
        yield
